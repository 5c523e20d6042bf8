"""Where things are. Everything that the tests make goes below build/ or into pytest's temporary directories."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TESTS = ROOT / "tests"
BUILD = ROOT / "build"
KAFKA = BUILD / "kafka"
KAFKA_LIBS = KAFKA / "libs"
JAVA_CLASSES = KAFKA / "classes"
LOG4J_CONFIG = TESTS / "lib" / "log4j2.properties"
ODRADEK = BUILD / "release" / "odradek"
