"""What holds for the whole run, however it was begun."""

import signal

# A shell that starts a job in the background has it ignore Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
