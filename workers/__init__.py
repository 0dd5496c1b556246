"""Everything that runs as a process: the command line, pipelines. It alone reads the environment."""
