"""Templates: jobs as files that are launched later, with what each launch says of them."""
