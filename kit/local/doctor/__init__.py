"""What this machine has for the kit, what it lacks, and what to do: `python -m kit doctor`.

Standard library only, except `inside`, which the kit's own environment runs: doctor has to work before that
environment is there.
"""
