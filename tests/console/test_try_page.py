"""Trying an event under the mapping that runs, or under an edited one; and what is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from bridge.console.web.tryit import SAMPLE
from tests.console.visiting import SHOP, text_of, visiting
from tests.harness import Rig, track

TRY = "/console/try"
SHIPPED = orjson.dumps(track("Order Shipped", "u1", properties={"id": "A7"})).decode()


async def test_an_event_that_is_pasted_shows_its_exact_request(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        answer = await visitor.post(TRY, on=TRY, event=SHIPPED, status=200)
        shown = text_of(answer.text)
        for said in ("POST /notifications", '"en": "A7 is on its way"', '"isIos": false', '"external_id": [ "u1" ]', "What may still stop it"):  # fmt: skip
            assert said in shown, said
        assert not here.sandbox.calls
        assert (await here.bridge.journal.counts()).pending == 0


async def test_what_would_not_happen_is_said_with_its_reason(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (_, visitor):
        body = orjson.dumps([track("Order Shipped", "u1"), track("Order Shiped", "u1")]).decode()
        shown = text_of((await visitor.post(TRY, on=TRY, event=body, status=200)).text)
        assert "The event has no value for properties.id." in shown
        assert "No rule wants this event; nearest is shipped" in shown


async def test_what_is_no_json_is_said_to_be_none(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (_, visitor):
        answer = await visitor.post(TRY, on=TRY, event="{oops", status=200)
        assert "The body is not JSON. Paste one event" in text_of(answer.text)


async def test_under_a_misspelt_source_nothing_is_tried(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (_, visitor):
        said = "There is no source defualt: no setting names it; did you mean default?"
        assert said in text_of(await visitor.get(f"{TRY}?source=defualt"))
        answer = await visitor.post(TRY, on=TRY, status=200, event=SAMPLE, source="defualt")
        assert said in text_of(answer.text)
        assert "is on its way" not in text_of(answer.text).replace(SAMPLE, "")


async def test_a_stored_event_is_picked(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        await here.post(track("Order Shipped", "u1", properties={"id": "A7"}))
        await here.settle()
        assert "A7" in await visitor.get(f"{TRY}?event=1")
        assert "Blue kettle" in await visitor.get(TRY)
        assert SAMPLE.startswith("{")


async def test_who_only_looks_picks_no_stored_event(tmp_path: Path) -> None:
    async with visiting(tmp_path, "view") as (here, visitor):
        await here.post(track("Order Shipped", "u1", properties={"id": "s3cret"}))
        await here.settle()
        assert "s3cret" not in await visitor.get(f"{TRY}?event=1")
        assert (
            "A7 is on its way" in (await visitor.post(TRY, on=TRY, event=SHIPPED, status=200)).text
        )


# A draft


def files(folder: Path) -> dict[str, Any]:
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules" / "shop.yaml").write_text(SHOP)
    return {"mappings": folder / "rules"}


async def test_a_draft_is_tried_beside_what_runs_and_nothing_is_written(tmp_path: Path) -> None:
    settings = files(tmp_path)
    async with visiting(tmp_path, mapping=tmp_path / "rules", **settings) as (_, visitor):
        on = f"{TRY}?edit=0"
        assert "{{ properties.id }} is on its way" in await visitor.get(on)
        draft = SHOP.replace("is on its way", "comes soon")
        answer = await visitor.post(TRY, on=on, event=SHIPPED, draft=draft, status=200)
        shown = text_of(answer.text)
        assert shown.index("With the draft") < shown.index("A7 comes soon")
        assert shown.index("As it runs now") < shown.rindex("A7 is on its way")
        assert (tmp_path / "rules" / "shop.yaml").read_text() == SHOP


async def test_what_is_wrong_with_a_draft_is_shown_where_it_stands(tmp_path: Path) -> None:
    settings = files(tmp_path)
    async with visiting(tmp_path, mapping=tmp_path / "rules", **settings) as (_, visitor):
        draft = SHOP.replace("limit:", "limitt:").replace("\n", "\r\n")
        answer = await visitor.post(TRY, on=f"{TRY}?edit=0", event=SHIPPED, draft=draft, status=200)
        shown = text_of(answer.text)
        assert "The draft cannot run yet unknown-field" in shown
        assert "did you mean limit ?" in shown
        line = SHOP.splitlines().index("    limit: {max: 1, per: 1h}") + 1
        assert f"{line} limitt: {{max: 1, per: 1h}}" in shown
        assert "A7 is on its way" in shown


async def test_the_event_stays_when_the_draft_is_opened(tmp_path: Path) -> None:
    settings = files(tmp_path)
    async with visiting(tmp_path, mapping=tmp_path / "rules", **settings) as (_, visitor):
        answer = await visitor.post(TRY, on=TRY, event='{"mine": 1}', edit="0", status=200)
        assert "{&#34;mine&#34;: 1}" in answer.text
        assert 'name="draft"' in answer.text
        back = await visitor.post(TRY, on=TRY, event='{"mine": 1}', edit="none", status=200)
        assert 'name="draft"' not in back.text


async def test_no_file_but_those_of_the_mapping_is_read(tmp_path: Path) -> None:
    settings = files(tmp_path)
    (tmp_path / "secret.yaml").write_text("s3cret")
    async with visiting(tmp_path, mapping=tmp_path / "rules", **settings) as (_, visitor):
        for edit in ("1", "-1", "../secret.yaml", "99999999999999999999", "0/../1"):
            page = await visitor.get(f"{TRY}?edit={edit}")
            assert "s3cret" not in page
            assert 'name="draft"' not in page


async def test_what_is_too_long_is_not_tried(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (_, visitor):
        answer = await visitor.post(TRY, on=TRY, event="[" * 300_000, status=200)
        assert "That is too long to be tried here." in answer.text
        assert len(answer.text) < 50_000


# Mappings


async def test_what_is_loaded_is_told_with_its_version(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        shown = text_of(await visitor.get("/console/mappings"))
        assert here.bridge.mappings["default"].revision in shown
        assert "Rules profile shipped cheap welcome" in shown
        assert "Whom it is about userId" in shown


async def test_the_last_refused_edit_is_told_with_its_reasons(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        refuse(here)
        shown = text_of(await visitor.get("/console/mappings"))
        assert "The last edit was refused, just now" in shown
        assert "unknown-field limitt is not a field shop.yaml:7 did you mean limit ?" in shown
        assert "refused" in text_of(await visitor.get("/console/overview"))


def refuse(here: Rig) -> None:
    from bridge.config.reload import Refused
    from bridge.errors import Finding

    finding = Finding(
        code="unknown-field", message="`limitt` is not a field", file="shop.yaml", line=7, hint="did you mean `limit`?"
    )  # fmt: skip
    record = here.bridge.reloader.record
    record.last_refused = Refused(at_ms=here.clock.now_ms(), findings=(finding,))


async def test_an_edited_draft_is_played_over_the_newest_stored_events(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP)
    async with visiting(tmp_path, mapping=file) as (here, visitor):
        for number in range(3):
            sent = track("Order Shipped", f"u{number}", properties={"id": f"A{number}"})
            await here.post(sent)
        await here.settle()
        calls = len(here.sandbox.calls)
        edit = f"{TRY}?edit=0"
        fields = {
            "event": SHIPPED,
            "draft": SHOP.replace("is on its way", "has left"),
            "newest": "100",
        }
        page = (await visitor.post(TRY, on=edit, status=200, **fields)).text
        shown = text_of(page)
        assert "What it would change for the newest 3 events" in shown
        assert "shipped 3 pushes say something else m-Order Shipped-u0" in shown
        assert "With the draft" in shown
        assert len(here.sandbox.calls) == calls
        shown = text_of(
            (await visitor.post(TRY, on=edit, status=200, **(fields | {"draft": SHOP}))).text
        )
        assert "Nothing: of these events the draft makes what runs now makes of them." in shown
        shown = text_of(
            (await visitor.post(TRY, on=edit, status=200, **(fields | {"newest": "0"}))).text
        )
        assert "newest 3 events" not in shown
