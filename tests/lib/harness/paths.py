"""Where things are. Everything that the tests make goes below build/ or into pytest's temporary directories."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TESTS = ROOT / "tests"
BUILD = ROOT / "build"
KAFKA = BUILD / "kafka"
KAFKA_LIBS = KAFKA / "libs"
JAVA_CLASSES = KAFKA / "classes"
LOG4J_CONFIG = TESTS / "lib" / "log4j2.properties"
# Another build of the broker may be named, such as one with sanitizers.
ODRADEK = Path(os.environ.get("ODRADEK_BINARY", BUILD / "release" / "odradek")).resolve()
