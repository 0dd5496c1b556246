"""Vision-language models run in this process. Knows models and devices; must not know queues, jobs or the environment.

Everything here needs the extra `vlm`; importing the package itself does not.
"""
