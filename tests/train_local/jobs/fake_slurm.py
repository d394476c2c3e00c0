"""Slurm's commands as far as submitit and the executor use them, for one machine and without a database.

Arguments: a folder, the name of the command, its arguments. The folder holds a file for each job: the process
group that does it. A file "full" there lets `sbatch` refuse, a file "once" `scontrol requeue`. There is no
`sacct`, as on a cluster without accounting.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path


def running(group):
    """Whether a process of the group is there and no zombie."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, of_process = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of_process) == group and state != "Z":
                return True
    return False


def start(folder, number):
    """Run the script of a job in the background, in a group of its own."""
    process = subprocess.Popen(
        ["bash", folder / f"{number}.sh"],
        env={**os.environ, "SLURM_JOB_ID": number},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    (folder / number).write_text(str(process.pid))


def main(folder, command, *arguments):
    jobs = {path.name: path for path in folder.iterdir() if path.name.isdigit()}
    if command == "sbatch":
        if (folder / "full").exists():
            print("sbatch: error: QOSMaxSubmitJobPerUserLimit", file=sys.stderr)
            return 1
        number = str(len(jobs) + 1)
        (folder / f"{number}.sh").write_text(Path(arguments[-1]).read_text())
        start(folder, number)
        print(f"Submitted batch job {number}")
    elif command == "squeue":
        for number, path in jobs.items():
            if running(int(path.read_text())):
                print(f"{number}|RUNNING")
    elif command == "scancel":
        with suppress(ProcessLookupError):
            os.killpg(int(jobs[arguments[0]].read_text()), signal.SIGKILL)
    elif command == "scontrol":
        if (folder / "once").exists():
            print("Requested operation is presently disabled", file=sys.stderr)
            return 1
        start(folder, arguments[-1])
    elif command == "srun":
        # srun --unbuffered --output FILE --error FILE python -u -m submitit.core._submit FOLDER
        log = Path(arguments[arguments.index("--output") + 1].replace("%j", os.environ["SLURM_JOB_ID"]))
        inner = arguments[arguments.index("--error") + 2 :]
        with log.with_name(log.name.replace("%t", "0")).open("ab") as stream:
            return subprocess.call(list(inner), stdout=stream, stderr=stream)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
