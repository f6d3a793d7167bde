"""Speed and memory by asv; see asv.conf.json."""
