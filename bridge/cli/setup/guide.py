"""What to paste where, word by word: into Segment for each source, into OneSignal, into a shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bridge.cli.setup.answers import Answers, Source
from bridge.cli.setup.files import SETTINGS, Draft, Proof

_HEADER = "X-Bridge-Token"


def guide(answers: Answers, made: Draft, folder: Path) -> str:
    """Everything that is left to do, in its order."""
    parts = [_start(folder), *([_REHEARSAL] if answers.has_pushes else [])]
    parts += [_segment(answers, source, made.proofs[source.name]) for source in answers.sources]
    return "\n\n".join([*parts, "\n".join(_onesignal(answers))])


_REHEARSAL = f"""\
Its rules push. So it rehearses: what it would ask of OneSignal ends as skipped, `dry_run`, and nobody
gets anything. Put your own links and texts into the mapping, look at what it does (segment-bridge plan),
then take the line BRIDGE_DRY_RUN=yes out of {SETTINGS} and start it again. BRIDGE_ONLY_USERS=YOUR-USER-ID
in its place lets only you get something."""


def _start(folder: Path) -> str:
    go = "" if folder.resolve() == Path.cwd() else f"  cd {folder}\n"
    return (
        "Start it (in the folder of these files):\n"
        f"{go}"
        f"  set -a; . ./{SETTINGS}; set +a\n"
        "  segment-bridge check\n"
        "  segment-bridge test\n"
        "  segment-bridge serve\n"
        f"What it does is at /console: sign in with the BRIDGE_ADMIN_TOKEN that stands in {SETTINGS}"
    )


def _segment(answers: Answers, source: Source, proof: Proof) -> str:
    return "\n".join(
        _engage(answers, source, proof)
        if source.kind == "engage"
        else _connection(answers, source, proof)
    )


def _connection(answers: Answers, source: Source, proof: Proof) -> Iterator[str]:
    yield f"Segment, for the source {source.name}: Connections > Destinations > Add destination"
    yield "  Webhooks (Actions)"
    yield f"    Settings: Shared Secret   {proof.secret}"
    yield "    Mapping: all events, or those that your rules are about"
    yield f"      URL                     {_url(answers, source)}"
    yield "      Method                  POST"
    yield f"      Headers                 {_HEADER}: {proof.token}"
    yield "      Data                    $.   (the whole event)"
    yield "      Enable batching         No: a batch waits up to a minute before it leaves"
    yield "  or Webhooks (classic), which also forwards deletions: the same URL, shared secret and header"


def _engage(answers: Answers, source: Source, proof: Proof) -> Iterator[str]:
    yield f"Segment, for {source.name} (Engage): Engage > Audiences > each audience > Add destination"
    yield "  Webhooks (Actions); the same for the computed traits that OneSignal should know"
    yield f"    Settings: Shared Secret   {proof.secret}"
    yield "    Mapping: Track and Identify calls"
    yield f"      URL                     {_url(answers, source)}"
    yield "      Method                  POST"
    yield f"      Headers                 {_HEADER}: {proof.token}"
    yield "      Data                    $.   (the whole event)"
    yield "      Enable batching         Yes"
    yield "      Batch size              1000"
    yield "  or Webhooks (classic): the same URL, shared secret and header; send both Track and Identify"
    yield "  The first sync says everyone who is inside already: that writes tags, and pushes nobody before"
    yield "  you write a rule that does. Give such a rule `starts:` a time after the first sync."


def _url(answers: Answers, source: Source) -> str:
    return f"{answers.url}/v1/segment/{source.name}"


def _onesignal(answers: Answers) -> Iterator[str]:
    yield f"OneSignal, app {answers.app_id}: Settings > Keys & IDs"
    yield "  the API key is in the files; to rotate it: Add Key, put the new one first, remove the old"
    yield "  log users in with Segment's userId as External ID: OneSignal.login(userId)"
    if answers.iphones == "segment":
        yield "  iPhones are left out of every push of the bridge. A journey or a segment in OneSignal that"
        yield "  your tags set off is OneSignal's to filter: exclude iOS there, too"
    elif answers.iphones == "nobody":
        yield "  iPhones are left out of every push of the bridge, until push.platforms says otherwise"
    else:
        yield "  the bridge pushes iPhones, too: turn off what else pushes them, or people hear twice"
    caps = {"free": "2", "growth": "10", "professional": "100"}
    if answers.plan in caps:
        yield f"  the {answers.plan} plan has {caps[answers.plan]} tags for a user: the mapping's order is the priority"
