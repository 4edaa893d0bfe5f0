"""Containers: a root file system and a config, run, looked at and made into images; and images of a tar of files."""
