"""What a command's exit status says."""

OK = 0
WRONG = 1  # something was rejected or found wrong in the data
USAGE = 2
PENDING = 3  # something could not be done now and stays pending or held
INTEGRITY = 4  # something that was recorded was altered
BUG = 70
CONFIG = 78
INTERRUPTED = 130
TERMINATED = 143
