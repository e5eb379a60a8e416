"""From YAML to a mapping, with the line of everything that is wrong.

A mapping is one file, or a folder's files in name order. Everything wrong is reported at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from ruamel.yaml.error import MarkedYAMLError

from bridge.errors import ConfigurationError, Finding
from bridge.mapping import document
from bridge.mapping.examples import Example, mismatches
from bridge.mapping.expression import ExpressionError, Vars
from bridge.mapping.kept import around, compiled, with_what_is_known
from bridge.mapping.legacy import check_identity
from bridge.mapping.mistakes import problems_of
from bridge.mapping.rules import Mapping, Problem, Rule, Surroundings, Trust
from bridge.mapping.tokens import Tokens, compile_tokens
from bridge.mapping.traps import Trap, bangs, explain, refine, unquoted_template
from bridge.mapping.tree import Tree, read_tree
from bridge.mapping.vars import link_of, overridden
from bridge.onesignal.api import USER_MODEL, Spoken

_IDENTITY = re.compile(r"\{\{\s*([A-Za-z_][\w-]*(?:\.[\w-]+)*)\s*\}\}")
_OPEN_HOST = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text of one file, and what it was called."""

    name: str
    text: str


class Ruled(NamedTuple):
    """A rule as it is written, as it runs (None: it cannot), and where it stands."""

    source: Source
    tree: Tree
    number: int
    declared: document.Rule
    compiled: Rule | None


@dataclass(slots=True)
class Reading:
    """What is known of a mapping so far; every step adds findings and goes on."""

    findings: list[Finding] = field(default_factory=list)
    documents: list[tuple[Source, Tree, document.Document]] = field(default_factory=list)
    rules: list[Ruled] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    identity: document.Identity = field(default_factory=document.Identity)
    tokens: Tokens | None = None
    #: Values of vars that count over those of the files.
    names: Vars = field(default_factory=dict)
    #: What `{{ vars.… }}` stands for.
    vars: Vars = field(default_factory=dict)
    #: Rules, examples or files are left out, because something is wrong with them.
    is_partial: bool = False

    def findings_in(self, source: Source) -> list[Finding]:
        return [finding for finding in self.findings if finding.file == source.name]

    def report(
        self, source: Source, tree: Tree, path: Iterable[str | int], problem: Problem
    ) -> None:
        line, column = tree.place((*path, *problem.path))
        if any(one.code == "bang-first" and one.line == line for one in self.findings_in(source)):
            return  # what is left of the condition is none of the operator's doing
        if problem.code == "condition-invalid" and (trap := refine(source.text, line)) is not None:
            self.findings.append(trapped(source, trap))
            return
        self.findings.append(
            Finding(
                code=problem.code,
                message=problem.message,
                level=problem.level,
                file=source.name,
                line=line,
                column=column,
                hint=problem.hint,
            )
        )


def starter() -> Path:
    """The mapping that runs when none is named: tags only."""
    return preset("starter")


def presets() -> tuple[str, ...]:
    """The names of the shipped mappings."""
    return tuple(sorted(path.stem for path in starter().parent.glob("*.yaml")))


def preset(name: str) -> Path:
    """The file of a shipped mapping, in an installed wheel or a checkout."""
    packaged = Path(str(files("bridge").joinpath("presets", f"{name}.yaml")))
    return (
        packaged if packaged.exists() else Path(__file__).parents[2] / "mappings" / f"{name}.yaml"
    )


def load_mapping(
    path: Path,
    *,
    serves: Collection[str],
    tag_cap: int | None = None,
    names: Vars | None = None,
    trust: Trust = "server",
    spoken: Spoken = USER_MODEL,
) -> tuple[Mapping, list[Finding]]:
    """The mapping at `path`, and warnings about it.

    Args:
        path: A file, or a folder of files.
        serves: The platforms that the app is on.
        tag_cap: How many tags the app's plan gives a user; None for as many as one likes.
        names: Values that an app or the environment gives `vars`, over those of the files.
        trust: Of the source whose events the mapping is for.
        spoken: Which of OneSignal's APIs the app speaks.

    Raises:
        ConfigurationError: with every finding, warnings too.
    """
    return compile_mapping(
        read_sources(path),
        serves=serves,
        tag_cap=tag_cap,
        names=names,
        trust=trust,
        spoken=spoken,
    )


def compile_mapping(
    sources: list[Source],
    *,
    serves: Collection[str],
    tag_cap: int | None = None,
    names: Vars | None = None,
    trust: Trust = "server",
    spoken: Spoken = USER_MODEL,
) -> tuple[Mapping, list[Finding]]:
    """As `load_mapping`, from texts."""
    reading = read_mapping(sources, serves=serves, names=names, spoken=spoken)
    if any(finding.is_error for finding in reading.findings):
        raise ConfigurationError(reading.findings)
    mapping = replace(_mapping(sources, reading, tag_cap), trust=trust, api=spoken.api)
    return mapping, reading.findings


def read_mapping(
    sources: list[Source],
    *,
    serves: Collection[str],
    names: Vars | None = None,
    spoken: Spoken = USER_MODEL,
) -> Reading:
    """All that texts say, and all that is wrong with it."""
    reading = Reading(names=names or {})
    for source in sources:
        _read(source, reading)
    _compile(reading, serves, spoken)
    reading.examples += _examples(reading)
    reading.identity = _identity(reading)
    reading.tokens = _tokens(reading, spoken)
    if spoken.api == "legacy":
        _legacy_identity(reading)
    return reading


def _mapping(sources: list[Source], reading: Reading, tag_cap: int | None) -> Mapping:
    rules = [one.compiled for one in reading.rules if one.compiled is not None]
    identity = reading.identity
    paths = tuple(tuple(text.split(".")) for text in _identity_paths(identity))
    return Mapping(
        revision=_revision(sources, reading.names),
        rules=tuple(rules),
        identity=paths,
        anonymous=identity.anonymous,
        anonymous_label=identity.label,
        merging_clients=frozenset(identity.clients),
        tokens=reading.tokens,
        unknown_user=identity.unknown,
        tag_cap=tag_cap,
        files=tuple(source.name for source in sources),
        examples=tuple(reading.examples),
        event_names=frozenset(name for rule in rules for name in rule.condition.event_names),
        learns_memberships=any(
            rule.sends and any(path[0] == "audience" for path in rule.condition.paths)
            for rule in rules
        ),
    )


def read_sources(path: Path) -> list[Source]:
    if path.is_dir():
        paths = sorted(p for p in path.iterdir() if p.suffix in {".yaml", ".yml"})
        if not paths:
            raise ConfigurationError([_unreadable(path, "it holds no .yaml file")])
    else:
        paths = [path]
    try:
        return [Source(name=str(p), text=p.read_text(encoding="utf-8")) for p in paths]
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError([_unreadable(path, str(why))]) from None


def _unreadable(path: Path, why: str) -> Finding:
    return Finding(
        code="mapping-unreadable",
        message=f"the mapping {path} cannot be read: {why}",
        hint=_what_there_is(path),
    )


def _what_there_is(path: Path) -> str:
    if path.suffix or path.exists():
        return "BRIDGE_MAPPINGS names a file or a folder of .yaml files"
    near = get_close_matches(str(path), presets(), n=1)
    return f"did you mean {near[0]}?" if near else f"shipped are {', '.join(presets())}"


def _revision(sources: list[Source], names: Vars) -> str:
    text = "\x00".join([*(source.text for source in sources), *map(repr, sorted(names.items()))])
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


def _read(source: Source, reading: Reading) -> None:
    try:
        tree = read_tree(source.text)
    except MarkedYAMLError as error:
        reading.is_partial = True
        reading.findings.append(trapped(source, explain(source.text, error)))
        return
    except Exception as error:  # noqa: BLE001 — ruamel raises whatever an odd tag or number runs into
        reading.is_partial = True
        reading.findings.append(_odd_yaml(source, error))
        return
    reading.findings += (trapped(source, trap) for trap in bangs(source.text))
    _validate(source, tree, reading)


def _odd_yaml(source: Source, error: Exception) -> Finding:
    message = next(iter(str(error).splitlines()), type(error).__name__)
    if isinstance(error, RecursionError):
        message = "it nests too deep"
    elif isinstance(error, UnicodeError):
        message = "a text holds half of a character: one of two escapes such as \\ud83d\\ude00"
    return Finding(code="yaml-invalid", message=message, file=source.name)


def trapped(source: Source, trap: Trap, level: str = "error") -> Finding:
    return Finding(
        code=trap.code,
        message=trap.message,
        level=level,
        file=source.name,
        line=trap.line,
        column=trap.column,
        hint=trap.hint,
    )


def _validate(source: Source, tree: Tree, reading: Reading) -> None:
    if not isinstance(tree.value, dict):
        found = Problem((), "not-a-mapping", "a mapping file begins with `version: 1`")
        reading.report(source, tree, (), found)
        return
    if (unquoted := tree.unquoted) is not None:
        trap = unquoted_template(source.text, *tree.place(unquoted))
        reading.findings.append(trapped(source, trap))
        return
    try:
        parsed = document.Document.model_validate(with_what_is_known(tree))
    except ValidationError as error:
        _report_fields(source, tree, reading, error)
    except (UnicodeError, RecursionError) as error:
        reading.is_partial = True
        reading.findings.append(_odd_yaml(source, error))
    else:
        reading.documents.append((source, tree, parsed))


def _report_fields(source: Source, tree: Tree, reading: Reading, error: ValidationError) -> None:
    """Say which fields are wrong, and read on with the rules and examples that are right."""
    reading.is_partial = True
    wrong = error.errors(include_url=False)
    for problem in problems_of(wrong):
        reading.report(source, tree, (), problem)
    places = [_to_leave_out(one["loc"], tree.value) for one in wrong]
    known = {path for path in places if path is not None}
    if len(known) == len(set(places)):
        _validate(source, tree.without(known), reading)


def _to_leave_out(path: tuple[int | str, ...], value: Any) -> tuple[str | int, ...] | None:
    """The entry that a field is in, or the section that there is not; None when all hangs on it."""
    if len(path) > 1 and path[0] in {"rules", "examples"} and isinstance(path[1], int):
        return path[:2]
    if len(path) == 1 and path[0] in value and path[0] not in document.Document.model_fields:
        return path
    return None


def _compile(reading: Reading, serves: Collection[str], spoken: Spoken) -> None:
    defaults = _only(reading, "push") or document.PushDefaults()
    declared: Vars = _only(reading, "vars") or {}
    reading.vars = overridden(declared, reading.names)
    defaults = defaults.model_copy(update={"links": tuple(_links(reading))})
    surroundings = Surroundings(defaults=defaults, serves=serves, vars=reading.vars, spoken=spoken)
    known = around(surroundings)
    named: dict[str, str] = {}
    for source, tree, parsed in reading.documents:
        for number, rule in enumerate(parsed.rules):
            at = ("rules", number)
            if rule.name in named:
                reading.report(source, tree, at, _named_twice(rule.name, named[rule.name]))
            named.setdefault(rule.name, source.name)
            runs, problems = compiled(rule, tree.entry("rules", number), known)
            for problem in problems:
                reading.report(source, tree, at, problem)
            reading.rules.append(Ruled(source, tree, number, rule, runs))


def _examples(reading: Reading) -> list[Example]:
    rules = {rule.name: rule for _, _, parsed in reading.documents for rule in parsed.rules}
    keeps = any(parsed.push_tokens is not None for _, _, parsed in reading.documents)
    found: list[Example] = []
    for source, tree, parsed in reading.documents:
        for number, declared in enumerate(parsed.examples):
            at = ("examples", number)
            # A rule that is wrong itself would seem to be none.
            wrong = () if reading.is_partial else mismatches(declared, rules, keeps_tokens=keeps)
            for path, code, message, hint in wrong:
                reading.report(source, tree, at, Problem(path, code, message, hint))
            found.append(Example(declared, source.name, tree.place(at)[0]))
    return found


def _links(reading: Reading) -> Iterator[str]:
    """Where links may point: `push.links`, with the vars in it."""
    for source, tree, parsed in reading.documents:
        for number, written in enumerate(parsed.push.links if parsed.push else ()):
            at = ("push", "links", number)
            try:
                link = link_of(written, reading.vars)
            except ExpressionError as error:
                problem = Problem((), error.code, error.message, error.hint)
                reading.report(source, tree, at, problem)
                continue
            if _OPEN_HOST.fullmatch(link):
                message = f"{link} also lets links to {link}.elsewhere.example through"
                problem = Problem((), "link-host-open", message, f"end it: {written}/", "warning")
                reading.report(source, tree, at, problem)
            yield link


def _named_twice(name: str, where: str) -> Problem:
    return Problem(
        ("name",),
        "rule-twice",
        f"there is another rule {name}, in {where}",
        "a rule's name is part of what makes its pushes unique; give each its own",
    )


def _only(reading: Reading, section: str) -> Any:
    """A section that one of the files may have."""
    found = [
        (source, tree, parsed)
        for source, tree, parsed in reading.documents
        if getattr(parsed, section) is not None
    ]
    for source, tree, _ in found[1:]:
        message = f"`{section}` is also in {found[0][0].name}"
        reading.report(source, tree, (section,), Problem((), "section-twice", message, "keep one"))
    return getattr(found[0][2], section) if found else None


def _identity(reading: Reading) -> document.Identity:
    identity: document.Identity = _only(reading, "identity") or document.Identity()
    for text in identity.external_id:
        if _IDENTITY.fullmatch(text) is None:
            source, tree, _ = next(one for one in reading.documents if one[2].identity is not None)
            problem = Problem(
                (),
                "identity-not-a-path",
                f"identity.external_id: {text} is not a path",
                'write "{{ userId }}", or a list of paths; it is read before anything else, so no filters',
            )
            reading.report(source, tree, ("identity", "external_id"), problem)
    return identity


def _tokens(reading: Reading, spoken: Spoken) -> Tokens | None:
    declared = _only(reading, "push_tokens")
    if declared is None:
        return None
    source, tree, _ = next(one for one in reading.documents if one[2].push_tokens is declared)
    tokens, problems = compile_tokens(declared, spoken)
    for problem in problems:
        reading.report(source, tree, ("push_tokens",), problem)
    return tokens


def _legacy_identity(reading: Reading) -> None:
    for source, tree, parsed in reading.documents:
        for problem in check_identity(parsed.identity) if parsed.identity else ():
            reading.report(source, tree, (), problem)


def _identity_paths(identity: document.Identity) -> list[str]:
    found = (_IDENTITY.fullmatch(text) for text in identity.external_id)
    return [match[1] for match in found if match is not None]
