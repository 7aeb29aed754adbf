"""Templates: jobs as files that are launched later, with the source and store of each launch."""
