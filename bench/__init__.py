"""`make bench`: what Stalk costs, measured beside its peers in the same run."""
