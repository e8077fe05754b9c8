"""Our figures beside those of the alternatives, measured in turn in one run. Nothing here passes or fails."""
