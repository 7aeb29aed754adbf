"""The Flink job server jar: the lock file, the merging, and the order in which it is looked for."""

import hashlib
import threading
import zipfile
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest
from apache_beam.utils.subprocess_server import JavaJarServer

from chronon_beam.pipeline.runners import flink_jar, maven
from chronon_beam.transforms.spark.cache_directory import cache_directory

SHA = "0" * 64


@pytest.fixture(autouse=True)
def empty_caches(tmp_path, monkeypatch):
    """No jar in any cache, and a repository that has nothing."""
    monkeypatch.setenv("CHRONON_BEAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(flink_jar.JAR_VARIABLE, raising=False)
    monkeypatch.setattr(JavaJarServer, "JAR_CACHE", str(tmp_path / "beam"))
    (tmp_path / "beam").mkdir()
    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.setattr(JavaJarServer, "MAVEN_CENTRAL_REPOSITORY", repository.as_uri())
    monkeypatch.setattr(JavaJarServer, "GOOGLE_MAVEN_MIRROR", repository.as_uri())
    return repository


def make_jar(path, entries):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as jar:
        for name, content in entries.items():
            jar.writestr(name, content)
    return path


def published(repository, coordinate, entries):
    jar = maven.parse_coordinate(coordinate)
    relative = jar.url.removeprefix(JavaJarServer.MAVEN_CENTRAL_REPOSITORY + "/")
    path = make_jar(repository / relative, entries)
    return jar._replace(sha256=maven.sha256_of(path))


def lock_of(monkeypatch, tmp_path, *jars):
    lock = tmp_path / "flink_jar.lock"
    maven.write_lock(lock, jars, "of a test")
    monkeypatch.setattr(flink_jar, "LOCK", lock)


def contents(path):
    with zipfile.ZipFile(path) as jar:
        assert jar.testzip() is None
        return {name: jar.read(name) for name in jar.namelist()}


def test_processes_that_fetch_one_jar_at_once_write_to_files_of_their_own(
    empty_caches, tmp_path, monkeypatch
):
    jar = published(empty_caches, "org.one:a:1.0", {"A.class": b"a"})
    fetched, folders = JavaJarServer.local_jar, []
    both = threading.Barrier(2)

    def local_jar(url, cache_dir):
        folders.append(cache_dir)
        both.wait(timeout=60)
        return fetched(url, cache_dir=cache_dir)

    monkeypatch.setattr(JavaJarServer, "local_jar", local_jar)
    with ThreadPool(2) as processes:
        paths = processes.map(lambda _: maven.fetch_one(jar, tmp_path), range(2))
    assert len({*folders}) == 2
    assert [maven.sha256_of(path) for path in paths] == [jar.sha256] * 2
    assert [path.name for path in tmp_path.glob("*a-1.0*")] == [paths[0].name]


def test_shipped_lock_names_every_jar_once_with_its_checksum():
    jars = maven.read_lock(flink_jar.LOCK)
    assert len(jars) == 165
    assert len({jar.coordinate for jar in jars}) == 165
    assert all(jar.sha256 and len(jar.sha256) == 64 for jar in jars)
    assert any(jar.artifact == "beam-runners-flink-1.19" for jar in jars)


def test_lock_line_without_checksum_is_refused_with_its_number(tmp_path):
    lock = tmp_path / "a.lock"
    lock.write_text(f"# why\na:b:1 {SHA}\na:c:1\n")
    with pytest.raises(ValueError, match=r"a\.lock:3: 'a:c:1'"):
        maven.read_lock(lock)


def test_lock_survives_writing_and_reading(tmp_path):
    jars = [maven.Jar("g", "a", "1", "linux", SHA), maven.Jar("g", "b", "2", None, SHA)]
    maven.write_lock(tmp_path / "a.lock", reversed(jars), "two\nlines")
    assert maven.read_lock(tmp_path / "a.lock") == jars


def test_merging_keeps_the_first_class_and_joins_services_and_configuration(tmp_path):
    one = make_jar(
        tmp_path / "one.jar",
        {"A.class": "1", "META-INF/services/S": "a.One", "reference.conf": "x=1", "dir/": ""},
    )
    two = make_jar(
        tmp_path / "two.jar",
        {"A.class": "2", "META-INF/services/S": "b.Two", "reference.conf": "y=2", "B.class": "3"},
    )
    flink_jar.assemble([one, two], tmp_path / "fat.jar")
    merged = contents(tmp_path / "fat.jar")
    assert merged["A.class"] == b"1"
    assert merged["B.class"] == b"3"
    assert merged["META-INF/services/S"].split() == [b"a.One", b"b.Two"]
    assert merged["reference.conf"].split() == [b"x=1", b"y=2"]


def test_merging_drops_signatures_and_names_the_main_class(tmp_path):
    signed = make_jar(
        tmp_path / "signed.jar",
        {"META-INF/MANIFEST.MF": "Main-Class: other", "META-INF/A.SF": "", "META-INF/A.RSA": ""},
    )
    flink_jar.assemble([signed], tmp_path / "fat.jar")
    merged = contents(tmp_path / "fat.jar")
    assert list(merged) == ["META-INF/MANIFEST.MF"]
    assert f"Main-Class: {flink_jar.MAIN_CLASS}".encode() in merged["META-INF/MANIFEST.MF"]


def test_merging_the_same_jars_gives_the_same_bytes(tmp_path):
    one = make_jar(tmp_path / "one.jar", {"A.class": "1" * 1000, "META-INF/services/S": "a.One"})
    for name in ("first.jar", "second.jar"):
        flink_jar.assemble([one], tmp_path / name)
    assert (tmp_path / "first.jar").read_bytes() == (tmp_path / "second.jar").read_bytes()


def test_failed_merge_leaves_no_file(tmp_path):
    (tmp_path / "broken.jar").write_bytes(b"no zip")
    with pytest.raises(zipfile.BadZipFile):
        flink_jar.assemble([tmp_path / "broken.jar"], tmp_path / "fat.jar")
    assert not list(tmp_path.glob("fat*"))


def test_jar_with_another_checksum_is_an_error_that_names_it(empty_caches, tmp_path):
    jar = published(empty_caches, "g:a:1", {"A.class": "1"})._replace(sha256=SHA)
    with pytest.raises(maven.FetchError, match="g:a:1 has the checksum"):
        maven.fetch([jar], tmp_path / "jars")
    assert not list((tmp_path / "jars").iterdir())


def test_jar_cut_short_in_the_cache_is_fetched_again(empty_caches, tmp_path):
    jar = published(empty_caches, "g:a:1", {"A.class": "1"})
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "a-1.jar").write_bytes(b"cut")
    (path,) = maven.fetch([jar], tmp_path / "jars")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256


def test_missing_jar_is_an_error_that_names_it_and_the_remedy(tmp_path):
    with pytest.raises(maven.FetchError, match=r"g:a:1 cannot be fetched.*put the file into"):
        maven.fetch([maven.Jar("g", "a", "1", None, SHA)], tmp_path / "jars")


def test_explicit_jar_wins_over_variable_and_caches(tmp_path, monkeypatch):
    mine, other = make_jar(tmp_path / "mine.jar", {}), make_jar(tmp_path / "other.jar", {})
    monkeypatch.setenv(flink_jar.JAR_VARIABLE, str(other))
    assert flink_jar.job_server_jar(str(mine))[0] == str(mine)
    assert flink_jar.job_server_jar(None)[0] == str(other)


def test_explicit_jar_that_is_missing_is_not_replaced():
    with pytest.raises(flink_jar.NoJobServerJar, match="--flink_job_server_jar is /no/such.jar"):
        flink_jar.job_server_jar("/no/such.jar")


def test_without_a_published_jar_one_is_assembled_once(empty_caches, tmp_path, monkeypatch):
    lock_of(monkeypatch, tmp_path, published(empty_caches, "g:a:1", {"A.class": "1"}))
    said = []
    path, how = flink_jar.job_server_jar(None, say=said.append)
    assert how.startswith("assembled in")
    assert "A.class" in contents(path)
    assert any("cannot be downloaded" in line for line in said)
    assert flink_jar.job_server_jar(None) == (path, "assembled earlier")


def test_new_lock_file_is_a_new_jar(empty_caches, tmp_path, monkeypatch):
    lock_of(monkeypatch, tmp_path, published(empty_caches, "g:a:1", {"A.class": "1"}))
    before, _ = flink_jar.job_server_jar(None)
    lock_of(monkeypatch, tmp_path, published(empty_caches, "g:a:2", {"A.class": "2"}))
    assert flink_jar.job_server_jar(None)[0] != before


def test_jar_in_beams_cache_is_taken_before_assembling(tmp_path):
    name = flink_jar._beam_url("1.19").rpartition("/")[2]
    cached = make_jar(tmp_path / "beam" / name, {})
    assert flink_jar.job_server_jar(None) == (str(cached), "in Beam's jar cache")


def test_other_flink_version_without_a_published_jar_is_an_error_with_remedy():
    with pytest.raises(flink_jar.NoJobServerJar, match=r"Flink 2\.0.*Take --flink_version=1\.19"):
        flink_jar.job_server_jar(None, "2.0")


def test_cache_follows_xdg(tmp_path, monkeypatch):
    monkeypatch.delenv("CHRONON_BEAM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == Path(tmp_path, "xdg", "chronon_beam")
