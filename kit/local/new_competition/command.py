"""`python -m kit new-competition DIR`: guess, ask, write, check."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from kit import competitions
from kit.artefacts import canonical_json, write_text
from kit.competitions.rules import METRICS
from kit.errors import BAD_INPUT, KitError
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData
from kit.local.new_competition import drawn_guesses, image_guesses, table_guesses, table_roles
from kit.local.new_competition.guesses import Draft, Guess, Question, plain
from kit.local.new_competition.mask_order import Writing, is_mask, writing_of
from kit.local.new_competition.options import NewCompetitionOptions
from kit.local.new_competition.patterns import pattern_of
from kit.local.new_competition.survey import Survey, survey
from kit.local.new_competition.table_roles import Roles
from kit.local.new_competition.writing import test_text, toml_of, value_text

_MASKS_READ = 40
_OWN = "own"
_METRICS = {"semantic": "mean Dice", "instance": "AP"}


def run(options: NewCompetitionOptions) -> int:
    """Write the definition and its test; return the exit code.

    Raises:
        KitError: the folder holds no images, an answer is impossible, or a file is there already.
    """
    asked = sys.stdin.isatty() and sys.stdout.isatty() and not options.yes
    draft = Draft(_answers(options.answer), _ask if asked else None)
    seen = survey(options.folder)
    for error in seen.unread:
        print(f"left out: {error.where}: {error.problem} -> {error.fix}", file=sys.stderr)
    fill(draft, seen, sure=options.yes or asked)
    if draft.open:
        print("These questions are open:", file=sys.stderr)
        for question in draft.open:
            print(f"  {_in_words(question)}", file=sys.stderr)
        raise KitError(
            f"{len(draft.open)} question{'s are' if len(draft.open) > 1 else ' is'} open",
            where=options.folder,
            fix="answer with "
            + " ".join(f"--answer '{question.key}=...'" for question in draft.open)
            + ", add --yes to take the guesses, or run it in a terminal",
        )
    out = options.out or Path(f"{draft.value('name')}.toml")
    test = out.with_name(f"test_{re.sub(r'[^0-9A-Za-z]+', '_', out.stem)}.py")
    for path in (out, test):
        if path.exists() and not options.force:
            raise KitError(
                "this file is there already", where=path, fix="choose another --out, or add --force"
            )
    _require_definition(out, toml_of(draft.known), draft.answers)
    write_text(out, toml_of(draft.known))
    write_text(test, test_text(out, options.folder))
    report = check(LabelledData(competitions.get(out), options.folder))
    if options.json:
        values = {key: {"value": guess.value, "why": guess.why} for key, guess in draft.known.items()}
        findings = [asdict(item) for item in report.findings]
        made = {"definition": str(out), "test": str(test), "values": values}
        print(canonical_json({**made, "ok": report.ok, "findings": findings}), end="")
        return 0 if report.ok else BAD_INPUT
    for key, guess in draft.known.items():
        print(f"{key} = {value_text(guess.value)}  ({guess.why})")
    print(f"\nwritten: {out} and {test}")
    for finding in report.findings:
        print(finding)
    for fact, value in report.facts.items():
        print(f"{fact}: {value:g}")
    print("the folder is as the definition says" if report.ok else f"correct {out}, then run its test")
    print(f"its test: {_test_command(test)}")
    return 0 if report.ok else BAD_INPUT


def _test_command(test: Path) -> str:
    """Return the command that runs a test here: with the Python that has pytest and can import the kit."""
    here, python = Path.cwd(), Path(sys.executable)
    root = Path(competitions.__file__).parents[2]
    # `python -m` looks for modules in this folder first, so in the repository nothing more is needed.
    found = [] if root == here else [f"PYTHONPATH={shlex.quote(str(root))}"]
    shown = python.relative_to(here) if python.is_relative_to(here) else python
    return " ".join([*found, shlex.join([str(shown), "-m", "pytest", str(test)])])


def _require_definition(out: Path, text: str, answers: Mapping[str, str]) -> None:
    """Refuse a definition that nothing could read, and leave no file of it."""
    draft = out.with_name(f".{out.stem}.draft.toml")  # beside its place, as it may name files from there
    write_text(draft, text)
    try:
        competitions.get(draft)
    except KitError as error:
        if not answers:
            raise
        said = " ".join(f"--answer '{key}={value}'" for key, value in answers.items())
        raise KitError(
            f"these answers make no definition: {error.problem}",
            where=said,
            fix=f"correct the answer that is meant, nothing was written; {error.fix}",
        ) from error
    finally:
        draft.unlink()


def fill(draft: Draft, seen: Survey, *, sure: bool) -> None:
    """Fill in a draft from what a folder holds.

    Args:
        draft: gets the keys; its questions that stay open tell what is missing.
        seen: the folder.
        sure: take guesses that are not sure, too; else they become questions.

    Raises:
        KitError: as `run`.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", seen.folder.resolve().name).strip("-._") or "competition"
    draft.put("name", name, "the folder's name")
    draft.question(
        Question(
            "slug",
            "What is the competition called in its address on Kaggle?",
            Guess(name, "the folder's name; compare it with the address of the competition", sure=False),
        )
    )
    for key in ("kind", "classes", "targets"):  # their place in the file; filled in below
        draft.known[key] = Guess(None, "")
    roles = table_roles.find(seen)
    ids = [role.images if role else () for role in (roles.truth, roles.sample)]
    found = image_guesses.guess(draft, seen, *ids)
    masks = _mask_images(seen, found.train.ids)
    writing = _writing(roles, found, seen)
    table_guesses.fill(draft, roles, masks, writing, drawn_guesses.find(seen))
    if "*" in found.test.path and draft.value("kind") in ("semantic", "instance"):
        raise KitError(
            f"the submission has masks of {found.test.path}, which are folders of slices",
            where=seen.folder,
            fix="not supported: an image with masks is one file. If each slice has masks of its own, name "
            "the slices: --answer 'images.test=test/{volume}/{slice}.png' --answer "
            "'images.id={volume}_{slice}'; one mask for all slices together needs a program of your own",
        )
    _metric(draft, str(draft.value("kind")))
    for key, text in draft.answers.items():
        within = [other for other in draft.known if other.startswith(f"{key}.")]
        if within:
            raise KitError(
                f"{key} is a section of the definition and has no value of its own",
                where=f"--answer '{key}={text}'",
                fix=f"answer one of its keys: {', '.join(within)}",
            )
        if draft.value(key) is None:
            draft.known[key] = Guess(plain(text), "as you said")
    draft.known = {key: guess for key, guess in draft.known.items() if guess.value is not None}
    if not sure:
        for key, guess in draft.known.items():
            if not guess.sure:
                draft.open.append(
                    Question(key, f"Is {value_text(guess.value)} right? It is a guess: {guess.why}")
                )


def _metric(draft: Draft, kind: str) -> None:
    likely, fitting = _METRICS.get(kind), tuple(name for name, kinds in METRICS.items() if kind in kinds)
    guess = (
        Guess(likely, "usual for this kind; the competition's page says it", sure=False) if likely else None
    )
    text = "Which metric scores the submission (the competition's page says it)? own: one in a Python file"
    name = _OWN
    if "metric.file" not in draft.answers:
        name = draft.question(Question("metric.name", text, guess, (*fitting, _OWN)))
    if name == _OWN:
        draft.known.pop("metric.name", None)
        draft.question(Question("metric.file", "Which Python file has its function score?"))
        text = "Is a higher score of this metric better (true or false)?"
        draft.question(Question("metric.higher_is_better", text, None, ("True", "False")))
    if name in ("AP", "mean precision"):
        usual = Guess([0.5], "often used; the competition's page says it", sure=False)
        draft.question(
            Question("metric.iou", "From which IoU on is a detection correct, such as [0.5]?", usual)
        )


def _mask_images(seen: Survey, ids: frozenset[str]) -> str | None:
    """Return the pattern of the mask images of the training part, None if there are none."""
    for files in seen.files:
        if files.masks and not files.about("test"):
            pattern = pattern_of(files, sorted(ids))
            if pattern.matched > 0.5:
                return pattern.path
    return None


def _writing(roles: Roles, found: image_guesses.Found, seen: Survey) -> Writing | None:
    """Return how the masks of the truth's cells are written."""
    truth = roles.truth
    mask = table_roles.mask_column(truth.table) if truth else ""
    if not truth or not mask:
        return None
    rows = truth.table.rows
    cells = [(truth.image_of(cell), text) for cell, text in zip(rows[truth.id], rows[mask], strict=True)]
    filled = [item for item in cells if is_mask(item[1])]
    step = max(1, len(filled) // _MASKS_READ)
    some = filled[::step][:_MASKS_READ]
    return writing_of(some, image_guesses.sizes_of(found, seen.folder, [image for image, _ in some]))


def _answers(pairs: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise KitError(
                f"{pair!r} is no KEY=VALUE", where="--answer", fix="write metric.name=AP, for example"
            )
        found[key.strip()] = value.strip()
    return found


def _in_words(question: Question) -> str:
    choices = f" ({' | '.join(question.choices)})" if question.choices else ""
    return f"{question.key}: {question.text}{choices}"


def _ask(question: Question, read: Callable[[str], str] = input) -> str:
    default = "" if question.guess is None else f" [{value_text(question.guess.value)}]"
    try:
        return read(f"{_in_words(question)}{default}: ").strip()
    except EOFError:
        return ""
