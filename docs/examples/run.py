"""Walk from a training script to a scored rehearsal with one of the examples beside this file.

    python docs/examples/run.py segmenter|classifier [--out DIR] [--short]

Each command is printed before it runs; docs/own-model.md explains them. `--short` trains a few steps only.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SAMPLE = ROOT / "sample"


def run(*words, **options):
    """Print a command of this Python, run it in the repository, and return what it printed for programs."""
    texts = [str(word) for word in words]
    print("$ python", " ".join(text.replace(f"{ROOT}/", "") for text in texts), flush=True)
    done = subprocess.run([sys.executable, *texts], cwd=ROOT, text=True, check=False, **options)
    if done.returncode != 0:
        raise SystemExit(done.returncode)
    return done.stdout


def segmenter(_out, short):
    """Data, model, suffix of its weights, and the training's own options."""
    return SAMPLE / "kidney", "tumour_segmenter.py", "safetensors", ("--steps", "10" if short else "300")


def classifier(out, short):
    """Make the data first, of the sample's tiles and outlines."""
    data = out / "data"
    run(HERE / "classifier" / "make_data.py", "--sample", SAMPLE / "vasculature", "--out", data)
    return data, "crowd_classifier.py", "pt", ("--epochs", "1" if short else "40")


EXAMPLES = {"segmenter": segmenter, "classifier": classifier}


def walk(name, out, *, short, targets):
    """Run the commands of an example; return the scores of its rehearsal and of its folds."""
    began, folder, dist = time.monotonic(), HERE / name, out / "dist"
    toml, prepared, runs, plan = (
        folder / "competition.toml",
        out / "prepared",
        out / "runs",
        dist / "ensemble.json",
    )
    data, model, suffix, length = EXAMPLES[name](out, short)
    run("-m", "train_local", "prepare", toml, "--data", data, "--out", prepared)
    weights = out / "weights"
    run(folder / "train.py", "--data", data, "--prepared", prepared, "--out", weights, *length)
    folds = [f"{weights}/fold{number}.{suffix}@{number}" for number in range(len(list(weights.iterdir())))]
    places = ("--prepared", prepared, "--runs", runs)
    run("-m", "train_local", "add-model", folder / model, "--weights", *folds, *places)
    run("-m", "train_local", "ensemble", *places, "--out", plan)
    run("-m", "bundle", "build", "--ensemble", plan, "--out", dist / "bundle", *targets)
    bundle, script = dist / "bundle", dist / "predict.py"
    run("-m", "submission", "render", "--ensemble", plan, "--bundle", bundle, "--out", script)
    rehearsal = ("--predict", script, "--bundle", bundle, "--data", data, "--budget", "600")
    told = run(
        *("-m", "submission", "rehearse", *rehearsal, "--out", dist / "rehearsal", "--json"),
        stdout=subprocess.PIPE,
    )
    verdict = json.loads(told)
    # What an earlier call found lies beside it, in fold0.was-....
    found = [json.loads(path.read_text())["score"] for path in sorted(runs.glob("*/fold?/done.json"))]
    print(f"folds: {', '.join(f'{value:.4f}' for value in found)}")
    print(f"rehearsal: {verdict['score']['metric']} {verdict['score']['value']:.4f}")
    print(f"{time.monotonic() - began:.0f} s for all of it; everything lies in {out}")
    return verdict


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("example", choices=sorted(EXAMPLES))
    parser.add_argument("--out", type=Path, help="folder to fill (default: work/examples/EXAMPLE)")
    parser.add_argument("--short", action="store_true", help="train a few steps only")
    parser.add_argument("--target", action="append", default=[], help="image to bundle for (default: all)")
    options = parser.parse_args()
    out = options.out or ROOT / "work" / "examples" / options.example
    targets = [word for name in options.target for word in ("--target", name)]
    walk(options.example, out.resolve(), short=options.short, targets=targets)


if __name__ == "__main__":
    main()
