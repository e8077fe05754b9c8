"""What the commands show on a terminal: the api's answers turned into pages. Nothing here decides anything."""
