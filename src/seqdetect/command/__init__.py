"""What the subcommands of ``seqdetect`` do, one file each: ``run(options)``. Their options stand in ``cli.py``."""
