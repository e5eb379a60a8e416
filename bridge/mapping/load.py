"""From YAML to a mapping, with the line of everything that is wrong.

A mapping is one file, or a folder's files in name order. Everything wrong is reported at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml.error import MarkedYAMLError

from bridge.errors import ConfigurationError, Finding
from bridge.mapping import document
from bridge.mapping.examples import Example, mismatches
from bridge.mapping.rules import Mapping, Problem, Rule, Surroundings, compile_rule
from bridge.mapping.tree import Tree, read_tree

_IDENTITY = re.compile(r"\{\{\s*([A-Za-z_][\w-]*(?:\.[\w-]+)*)\s*\}\}")
_OPEN_HOST = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text of one file, and what it was called."""

    name: str
    text: str


@dataclass(slots=True)
class _Reading:
    """What is known so far; every step adds findings and goes on."""

    findings: list[Finding] = field(default_factory=list)
    documents: list[tuple[Source, Tree, document.Document]] = field(default_factory=list)

    def report(
        self, source: Source, tree: Tree, path: Iterable[str | int], problem: Problem
    ) -> None:
        line, column = tree.place((*path, *problem.path))
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


def preset(name: str) -> Path:
    """The file of a shipped mapping, in an installed wheel or a checkout."""
    packaged = Path(str(files("bridge").joinpath("presets", f"{name}.yaml")))
    return (
        packaged if packaged.exists() else Path(__file__).parents[2] / "mappings" / f"{name}.yaml"
    )


def load_mapping(
    path: Path, *, serves: Collection[str], tag_cap: int | None = None
) -> tuple[Mapping, list[Finding]]:
    """The mapping at `path`, and warnings about it.

    Raises:
        ConfigurationError: with every finding, warnings too.
    """
    return compile_mapping(_sources(path), serves=serves, tag_cap=tag_cap)


def compile_mapping(
    sources: list[Source], *, serves: Collection[str], tag_cap: int | None = None
) -> tuple[Mapping, list[Finding]]:
    """As `load_mapping`, from texts."""
    reading = _Reading()
    for source in sources:
        _read(source, reading)
    rules = _compile(reading, serves)
    examples = _examples(reading)
    identity = _identity(reading)
    if any(finding.is_error for finding in reading.findings):
        raise ConfigurationError(reading.findings)
    paths = tuple(tuple(text.split(".")) for text in _identity_paths(identity))
    mapping = Mapping(
        revision=_revision(sources),
        rules=tuple(rules),
        identity=paths,
        unknown_user=identity.unknown,
        tag_cap=tag_cap,
        files=tuple(source.name for source in sources),
        examples=tuple(examples),
        event_names=frozenset(name for rule in rules for name in rule.condition.event_names),
        learns_memberships=any(
            rule.sends and any(path[0] == "audience" for path in rule.condition.paths)
            for rule in rules
        ),
    )
    return mapping, reading.findings


def _sources(path: Path) -> list[Source]:
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
        hint="BRIDGE_MAPPINGS names a file or a folder of .yaml files",
    )


def _revision(sources: list[Source]) -> str:
    text = "\x00".join(source.text for source in sources)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


def _read(source: Source, reading: _Reading) -> None:
    try:
        tree = read_tree(source.text)
    except MarkedYAMLError as error:
        reading.findings.append(_yaml_finding(source, error))
        return
    except Exception as error:  # noqa: BLE001 — ruamel raises whatever an odd tag or number runs into
        reading.findings.append(_odd_yaml(source, error))
        return
    _validate(source, tree, reading)


def _odd_yaml(source: Source, error: Exception) -> Finding:
    message = next(iter(str(error).splitlines()), type(error).__name__)
    if isinstance(error, RecursionError):
        message = "it nests too deep"
    elif isinstance(error, UnicodeError):
        message = "a text holds half of a character: one of two escapes such as \\ud83d\\ude00"
    return Finding(code="yaml-invalid", message=message, file=source.name)


def _yaml_finding(source: Source, error: MarkedYAMLError) -> Finding:
    mark = error.problem_mark or error.context_mark
    duplicate = type(error).__name__ == "DuplicateKeyError"
    return Finding(
        code="key-twice" if duplicate else "yaml-invalid",
        message=str(error.problem or error.context or "this is not YAML").splitlines()[0],
        file=source.name,
        line=mark.line + 1 if mark else None,
        column=mark.column + 1 if mark else None,
        hint=None if duplicate else _yaml_hint(str(error.problem)),
    )


def _yaml_hint(problem: str) -> str:
    if "\\t" in problem:
        return "indent with spaces, not with tabs"
    if "<block mapping start>" in problem:
        return "this line begins at another column than its neighbours: line it up with them"
    return 'a text with `: `, ` #`, `{` or a leading quote needs "quotes"'


def _validate(source: Source, tree: Tree, reading: _Reading) -> None:
    if not isinstance(tree.value, dict):
        found = Problem((), "not-a-mapping", "a mapping file begins with `version: 1`")
        reading.report(source, tree, (), found)
        return
    if (unquoted := _unquoted_template(tree.value)) is not None:
        reading.report(source, tree, unquoted, _UNQUOTED)
        return
    try:
        parsed = document.Document.model_validate(tree.value)
    except ValidationError as error:
        for one in error.errors(include_context=False, include_input=False, include_url=False):
            reading.report(source, tree, (), _problem(one))
        return
    except (UnicodeError, RecursionError) as error:
        reading.findings.append(_odd_yaml(source, error))
        return
    reading.documents.append((source, tree, parsed))


_UNQUOTED = Problem(
    (),
    "unquoted-template",
    "`{{ … }}` without quotes is YAML's own syntax, not a template",
    'write "{{ properties.product }}"',
)


def _unquoted_template(tree: Any, path: tuple[str | int, ...] = ()) -> tuple[str | int, ...] | None:
    """Where a mapping is the key of a mapping, which is what `{{ a }}` without quotes is."""
    children: Iterable[tuple[Any, Any]] = ()
    if isinstance(tree, dict):
        if any(not isinstance(key, str | int | float | bool | None) for key in tree):
            return path
        children = tree.items()
    elif isinstance(tree, list):
        children = enumerate(tree)
    found = (_unquoted_template(child, (*path, key)) for key, child in children)
    return next((one for one in found if one is not None), None)


def _problem(error: Any) -> Problem:
    path = tuple(part for part in error["loc"] if part != "[key]")
    message = _PYTHON_KIND.sub(_kind, str(error["msg"]).removeprefix("Value error, "))
    where = ".".join(str(part) for part in path) or "the file"
    if error["type"] == "extra_forbidden":
        return Problem(path, "unknown-field", f"`{where}` is not a field", _nearest(path))
    if error["type"] == "missing":
        return Problem(path[:-1], "field-missing", f"`{where}` is missing")
    return Problem(path, "field-invalid", f"`{where}`: {message}")


_PYTHON_KIND = re.compile(r"a valid (dictionary|tuple)(?: or instance of \w+)?")


def _kind(found: re.Match[str]) -> str:
    """What YAML calls what Python calls so."""
    return "a list" if found[1] == "tuple" else "a mapping"


_OTHER_WORDS = {
    "title": "headings",
    "body": "contents",
    "message": "contents",
    "text": "contents",
    "push": "send_notification",
    "send_push": "send_notification",
    "notify": "send_notification",
}


def _nearest(path: tuple[Any, ...]) -> str | None:
    import difflib

    names = {
        name
        for model in vars(document).values()
        if isinstance(model, type) and issubclass(model, document._Declared)  # noqa: SLF001 — the declarations' own base
        for name in model.model_fields
    }
    written = str(path[-1])
    if written in names:
        return f"`{written}` is a field, and not of this place; mappings/README.md says of which"
    if written in _OTHER_WORDS:
        return f"OneSignal calls it `{_OTHER_WORDS[written]}`"
    near = difflib.get_close_matches(written, sorted(names), n=1)
    return f"did you mean `{near[0]}`?" if near else "mappings/README.md lists every field"


def _compile(reading: _Reading, serves: Collection[str]) -> list[Rule]:
    defaults = _only(reading, "push") or document.PushDefaults()
    _warn_of_open_hosts(reading)
    around = Surroundings(defaults=defaults, serves=serves)
    rules: list[Rule] = []
    named: dict[str, str] = {}
    for source, tree, parsed in reading.documents:
        for number, rule in enumerate(parsed.rules):
            at = ("rules", number)
            if rule.name in named:
                reading.report(source, tree, at, _named_twice(rule.name, named[rule.name]))
            named.setdefault(rule.name, source.name)
            compiled, problems = compile_rule(rule, around)
            for problem in problems:
                reading.report(source, tree, at, problem)
            if compiled is not None:
                rules.append(compiled)
    return rules


def _examples(reading: _Reading) -> list[Example]:
    rules = {rule.name: rule for _, _, parsed in reading.documents for rule in parsed.rules}
    found: list[Example] = []
    for source, tree, parsed in reading.documents:
        for number, declared in enumerate(parsed.examples):
            at = ("examples", number)
            for path, code, message, hint in mismatches(declared, rules):
                reading.report(source, tree, at, Problem(path, code, message, hint))
            found.append(Example(declared, source.name, tree.place(at)[0]))
    return found


def _warn_of_open_hosts(reading: _Reading) -> None:
    for source, tree, parsed in reading.documents:
        for number, link in enumerate(parsed.push.links if parsed.push else ()):
            if _OPEN_HOST.fullmatch(link):
                message = f"{link} also lets links to {link}.elsewhere.example through"
                problem = Problem((), "link-host-open", message, f"end it: {link}/", "warning")
                reading.report(source, tree, ("push", "links", number), problem)


def _named_twice(name: str, where: str) -> Problem:
    return Problem(
        ("name",),
        "rule-twice",
        f"there is another rule {name}, in {where}",
        "a rule's name is part of what makes its pushes unique; give each its own",
    )


def _only(reading: _Reading, section: str) -> Any:
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


def _identity(reading: _Reading) -> document.Identity:
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


def _identity_paths(identity: document.Identity) -> list[str]:
    found = (_IDENTITY.fullmatch(text) for text in identity.external_id)
    return [match[1] for match in found if match is not None]
