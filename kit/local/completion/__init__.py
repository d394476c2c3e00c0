"""Completion of the kit's command lines in bash, zsh and fish, made from the options' dataclasses."""
