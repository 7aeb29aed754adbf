"""Where a job runs: Beam's runners, each ready to be used."""
