"""The database: nothing is lost, nothing is half, every fault has a name."""

import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from core.domain import Catalogue, Interaction, Item
from core.errors import StoreError
from core.store.catalogues import list_catalogues, load_catalogue, save_catalogue
from core.store.engines import HEAD, KNOWN, MIGRATIONS, Store
from core.store.tables import Base, CatalogueRow
from tests import postgres

BOTH = ("sqlite", pytest.param("postgresql", marks=pytest.mark.skipif(bool(postgres.ABSENT), reason=postgres.ABSENT)))


@pytest.fixture(params=["sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A SQLite file, or the URL of a new schema of a real server where a test is marked `on_both`."""
    return tmp_path / "home" / "fusescope.sqlite" if request.param == "sqlite" else postgres.fresh()


on_both = pytest.mark.parametrize("place", BOTH, indirect=True)


def readonly(place: Path | str) -> str:
    return f"sqlite:///file:{place}?mode=ro&uri=true" if isinstance(place, Path) else f"{place}&mode=ro"


@pytest.fixture
def store(place: Path | str):
    store = Store.open(place)
    yield store
    store.close()


def toy_catalogue(root: Path, name: str = "toys", items: int = 6) -> Catalogue:
    """`items` items with one or two photos each; three users who each met two items."""
    shop = tuple(
        Item(
            item_id=f"item-{n:02}", title=f"Toy {n}", price=None if n == 3 else n + 0.5,
            media={"image": tuple(f"{n}-{k}.png" for k in range(1 + n % 2))}, attributes={"colour": "red"},
        )
        for n in range(items)
    )  # fmt: skip
    met = tuple(
        Interaction(
            user_id=f"user-{n % 3}", item_id=f"item-{n:02}", rating=None if n == 0 else 4.0, timestamp=1_700_000_000,
            review_text=f"review {n}", media={"image": ("c.png",)} if n == 1 else {}, split="train",
        )
        for n in range(items)
    )  # fmt: skip
    return Catalogue(name=name, version="v" * 64, root=root, items=shop, interactions=met)


def code_of(error: pytest.ExceptionInfo[StoreError]) -> str:
    return error.value.code


@on_both
def test_a_fresh_database_is_made_by_the_migrations_and_equals_the_tables(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.read.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        tables = set(inspect(connection).get_table_names())
    people = {"annotations", "labels", "label_names", "slices", "forgotten"}
    assert {
        "catalogues", "items", "interactions", "media", "runs", "queries", "jobs", "alembic_version", *people,
    } == tables  # fmt: skip


def test_the_newest_revision_in_the_code_is_the_newest_migration() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert (revisions[0], tuple(reversed(revisions))) == (HEAD, KNOWN)


@on_both
def test_no_increment_is_lost_between_many_threads(store: Store) -> None:
    writers, times = (20, 50) if store.sqlite else (10, 10)  # a server is asked over a socket
    with store.writing() as session:
        session.execute(text("CREATE TABLE counter (v INTEGER)"))
        session.execute(text("INSERT INTO counter VALUES (0)"))

    def increment() -> None:
        for _ in range(times):
            with store.writing() as session:
                seen = session.execute(text("SELECT v FROM counter")).scalar_one()
                session.execute(text("UPDATE counter SET v = :v"), {"v": seen + 1})

    threads = [threading.Thread(target=increment) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as session:
        assert session.execute(text("SELECT v FROM counter")).scalar_one() == writers * times


def test_foreign_keys_are_enforced_and_the_log_is_written_ahead(store: Store) -> None:
    with store.write.connect() as connection:
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    with pytest.raises(IntegrityError), store.writing() as session:
        session.execute(text("INSERT INTO items VALUES (99, 0, 'x', '', '', '', NULL, '{}')"))


@on_both
def test_a_reader_does_not_wait_for_a_writer_and_cannot_write(store: Store) -> None:
    with store.writing() as writer:
        writer.execute(text("DELETE FROM jobs"))
        with store.reading() as reader:
            assert reader.execute(text("SELECT count(*) FROM jobs")).scalar() == 0
    with pytest.raises(StoreError) as error, store.reading() as reader:
        reader.execute(text("DELETE FROM jobs"))
    assert code_of(error) == "E-DB-READONLY"


@on_both
def test_a_catalogue_comes_back_as_it_was_given(store: Store, tmp_path: Path) -> None:
    toys = toy_catalogue(tmp_path)
    with store.writing() as session:
        save_catalogue(session, toys, {"cleaned": {"N-TXT-CLEAN": 2}})
    assert load_catalogue(store, "toys", tmp_path) == toys
    [info] = list_catalogues(store)
    photos_of_items, photos_of_reviews = 3 * 1 + 3 * 2, 1
    assert (info.items, info.users, info.interactions) == (6, 3, 6)
    assert info.media == {"image": photos_of_items + photos_of_reviews}
    assert info.report == {"cleaned": {"N-TXT-CLEAN": 2}}


@on_both
def test_a_second_catalogue_of_that_name_replaces_the_first_whole(store: Store, tmp_path: Path) -> None:
    for items in (6, 4):
        with store.writing() as session:
            save_catalogue(session, toy_catalogue(tmp_path, items=items), {})
    with store.reading() as session:
        for table, rows in (("catalogues", 1), ("items", 4), ("interactions", 4), ("media", 2 * 1 + 2 * 2 + 1)):
            assert session.execute(text(f"SELECT count(*) FROM {table}")).scalar() == rows, table


@on_both
def test_half_a_catalogue_is_never_seen(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), store.writing() as session:
        save_catalogue(session, toy_catalogue(tmp_path), {})
        assert list_catalogues(store) == []
        raise ZeroDivisionError
    assert list_catalogues(store) == []


@on_both
def test_text_that_no_database_can_keep_is_mended(store: Store, tmp_path: Path) -> None:
    odd = Item(item_id="a", title="cup\0 \ud800of tea")
    with store.writing() as session:
        save_catalogue(session, Catalogue(name="odd", version="v", root=tmp_path, items=(odd,)), {})
    assert load_catalogue(store, "odd", tmp_path).items[0].title == "cup of tea"


@on_both
def test_a_writer_that_waits_in_vain_is_told_so(place: Path) -> None:
    store = Store.open(place, wait=0.2)
    with store.writing(), pytest.raises(StoreError, match="Try again in a moment") as error, store.writing():
        pass
    assert code_of(error) == "E-DB-BUSY"


@on_both
def test_a_pool_without_a_free_connection_is_busy(place: Path) -> None:
    store = Store.open(place, wait=0.2)
    held = [store.read.connect() for _ in range(15)]
    with pytest.raises(StoreError) as error, store.reading() as session:
        session.execute(text("SELECT 1"))
    assert code_of(error) == "E-DB-BUSY"
    for connection in held:
        connection.close()


@on_both
def test_a_database_opened_for_reading_can_be_browsed_and_not_written(place: Path, tmp_path: Path) -> None:
    first = Store.open(place)
    with first.writing() as session:
        save_catalogue(session, toy_catalogue(tmp_path), {})
    store = Store.open(readonly(place))
    assert [info.name for info in list_catalogues(store)] == ["toys"]
    with pytest.raises(StoreError) as error, store.writing():
        pass
    assert code_of(error) == "E-DB-READONLY"


def test_a_file_that_is_no_database_is_broken_and_the_backup_is_named(place: Path) -> None:
    place.parent.mkdir()
    place.write_text("This is a shopping list, not a database. " * 50)
    with pytest.raises(StoreError, match="There is no backup") as error:
        Store.open(place)
    assert code_of(error) == "E-DB-BROKEN"
    (place.parent / "backups").mkdir()
    (place.parent / "backups" / "schema-0001-x.sqlite").touch()
    with pytest.raises(StoreError, match=r"backups/schema-0001-x\.sqlite"):
        Store.open(place)


@on_both
def test_a_newer_schema_is_refused_and_left_alone(store: Store, place: Path) -> None:
    with store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(StoreError, match="0999") as error:
        Store.open(place)
    assert code_of(error) == "E-DB-NEWER"
    with store.reading() as session:
        assert session.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0999"


def make_older(place: Path) -> None:
    """A database as revision 0001 left it, with one run in it."""
    store = Store.open(place)
    with store.writing() as session:
        session.execute(text("DROP TABLE queries"))
        session.execute(text("DROP TABLE jobs"))
        for table in ("labels", "annotations", "label_names", "slices", "forgotten"):
            session.execute(text(f"DROP TABLE {table}"))
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        session.add(
            CatalogueRow(
                name="old", version="v", items=1, users=0, interactions=0, media={}, report={},
                created=datetime.now(UTC),
            )
        )  # fmt: skip
        session.flush()
        session.execute(text("ALTER TABLE catalogues DROP COLUMN features"))
    store.close()


@on_both
def test_an_older_schema_is_upgraded_after_a_backup(place: Path) -> None:
    make_older(place)
    store = Store.open(place)
    assert [info.name for info in list_catalogues(store)] == ["old"]
    with store.reading() as session:
        assert session.execute(text("SELECT count(*) FROM jobs")).scalar() == 0
    if store.backups is None:
        return  # a server has backups of its own
    [backup] = store.backups.glob("*.sqlite")
    with sqlite3.connect(backup) as kept:
        assert kept.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert kept.execute("SELECT name FROM catalogues").fetchone() == ("old",)


@on_both
def test_an_older_schema_that_cannot_be_written_asks_for_the_upgrade(place: Path) -> None:
    make_older(place)
    with pytest.raises(StoreError, match="backed up and upgraded") as error:
        Store.open(readonly(place))
    assert code_of(error) == "E-DB-OLDER"


def test_a_full_disk_is_told_and_what_was_there_stays(store: Store, tmp_path: Path) -> None:
    with store.writing() as session:
        save_catalogue(session, toy_catalogue(tmp_path), {})
    with pytest.raises(StoreError, match="Free some space") as error, store.writing() as session:
        pages = session.execute(text("PRAGMA page_count")).scalar_one()
        session.execute(text(f"PRAGMA max_page_count={pages + 1}"))
        save_catalogue(session, toy_catalogue(tmp_path, name="large", items=2_000), {})
    assert code_of(error) == "E-DISK-FULL"
    assert [info.name for info in list_catalogues(store)] == ["toys"]


@on_both
def test_several_processes_may_open_a_fresh_workspace_at_once(place: Path) -> None:
    failures: list[Exception] = []

    def open_it() -> None:
        try:
            Store.open(place).close()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
