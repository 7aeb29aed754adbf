"""The job: options, the page, running it, the command line."""
