"""Java: the class path of the reference jars, compiling our own programs, and class-data archives.

A class-data archive holds the loaded classes of a program; with it the reference broker is up in one second instead of
three or four. An archive is only a speed-up: it is made once below build/kafka, and a run without it works too.
"""

import fcntl
import functools
import hashlib
import subprocess

from . import paths

FAST_START = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]


@functools.cache
def class_path():
    jars = sorted(paths.KAFKA_LIBS.glob("*.jar"))
    assert jars, f"no jars in {paths.KAFKA_LIBS}: run tools/setup_tests.sh"
    return ":".join([*map(str, jars), str(compiled_classes())])


@functools.cache
def compiled_classes():
    """Compiles every Java program of the tests, when one has changed, and returns the directory of the classes."""
    paths.KAFKA.mkdir(parents=True, exist_ok=True)
    with open(paths.KAFKA / "classes.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _compile()


def _compile():
    sources = sorted(paths.TESTS.glob("*/java/*.java"))
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.read_bytes())
    stamp = paths.JAVA_CLASSES / "stamp"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return paths.JAVA_CLASSES
    for old in paths.JAVA_CLASSES.glob("**/*.class"):
        old.unlink()
    paths.JAVA_CLASSES.mkdir(parents=True, exist_ok=True)
    jars = ":".join(map(str, sorted(paths.KAFKA_LIBS.glob("*.jar"))))
    command = ["javac", "-nowarn", "-proc:none", "-d", str(paths.JAVA_CLASSES), "-cp", jars, *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"javac failed:\n{done.stdout}{done.stderr}"
    stamp.write_text(digest.hexdigest())
    return paths.JAVA_CLASSES


def archive_file(name):
    """The archive's path says for which jars it was made: Java refuses one made for others."""
    jars = "\n".join(str(jar) for jar in sorted(paths.KAFKA_LIBS.glob("*.jar")))
    return paths.KAFKA / f"{name}-{hashlib.sha256(jars.encode()).hexdigest()[:12]}.jsa"


def java_command(main, *arguments, heap_mb=512, fast_start=True, archive=None, options=()):
    """The command line that runs class `main`; `archive` names a class-data archive to use, if it exists."""
    command = ["java", f"-Xmx{heap_mb}m", f"-Dlog4j2.configurationFile={paths.LOG4J_CONFIG}"]
    command += FAST_START if fast_start else ["-Xshare:auto"]
    if archive and archive_file(archive).exists():
        command.append(f"-XX:SharedArchiveFile={archive_file(archive)}")
    return [*command, *options, "-cp", class_path(), main, *map(str, arguments)]
