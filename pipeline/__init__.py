"""The job: its flags, its page of data flow, running it, and the command line."""
