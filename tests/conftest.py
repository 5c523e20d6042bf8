"""Fixtures of every suite. `--broker` says who is under test."""

import os
import resource
import shutil

import pytest

from harness import broker as brokers
from harness import paths
from harness.tools import KafkaTools

# Brokers that exist while a test runs; a failing test's report shows what they logged during the test.
_factories = []
_log_sizes = {}


def pytest_addoption(parser):
    parser.addoption(
        "--broker",
        choices=[brokers.ODRADEK, brokers.KAFKA],
        default=brokers.ODRADEK,
        help="the broker under test; kafka holds the suites themselves against Apache Kafka",
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "odradek_only(why): a promise that Apache Kafka does not keep")
    config.addinivalue_line("markers", "groups: needs group coordination (consumer groups, offsets)")
    config.addinivalue_line("markers", "transactions: needs the transaction coordinator")
    config.addinivalue_line("markers", "bulk: takes minutes")
    # Thousands of connections from one process.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def pytest_collection_modifyitems(config, items):
    kind = config.getoption("--broker")
    if kind == brokers.ODRADEK and not paths.ODRADEK.exists() and not config.getoption("collectonly"):
        raise pytest.UsageError(f"{paths.ODRADEK} does not exist: build it, or use --broker kafka")
    for item in items:
        marker = item.get_closest_marker("odradek_only")
        if marker and kind != brokers.ODRADEK:
            item.add_marker(pytest.mark.skip(reason=f"not so in Apache Kafka: {marker.args[0]}"))


def _live_brokers():
    return [broker for factory in _factories for broker in factory.made]


def pytest_runtest_setup(item):
    for broker in _live_brokers():
        # The test that killed it has failed; the next ones get a broker again.
        if broker.process is not None and not broker.is_running():
            broker.close()
            broker.start()
    _log_sizes.clear()
    _log_sizes.update({broker: len(broker.log_text()) for broker in _live_brokers()})


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for broker in _live_brokers():
            if broker.process is not None and not broker.is_running():
                report.sections.append((f"{broker.kind} died", f"with code {broker.process.returncode}"))
            lines = broker.log_text()[_log_sizes.get(broker, 0) :].splitlines()[-40:]
            if lines:
                report.sections.append((f"{broker.kind} in {broker.directory} logged", "\n".join(lines)))


@pytest.fixture(scope="session")
def kind(request):
    return request.config.getoption("--broker")


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    host = KafkaTools()
    brokers.make_class_data_archive(tmp_path_factory.mktemp("archive"), host)
    yield host
    host.close()


def _factory(kind, directory, tools):
    factory = brokers.BrokerFactory(kind, directory, tools)
    _factories.append(factory)
    try:
        yield factory
    finally:
        factory.close()
        _factories.remove(factory)
        if not os.environ.get("ODRADEK_KEEP_DATA"):
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def factory(kind, tmp_path, tools):
    """Brokers of the test's own."""
    yield from _factory(kind, tmp_path, tools)


@pytest.fixture(scope="module")
def broker(kind, tmp_path_factory, tools):
    """One broker for the tests of a module, with default settings. Tests use topics of their own."""
    for shared in _factory(kind, tmp_path_factory.mktemp("shared"), tools):
        yield shared.start()


@pytest.fixture
def run(broker, tools):
    """Runs a tool against the broker and gives what it printed; fails the test when the tool fails."""

    def run(name, *arguments, **options):
        return tools.run(name, "--bootstrap-server", broker.bootstrap, *arguments, **options).ok().out

    return run


@pytest.fixture
def fails(broker, tools):
    """Runs a tool that must fail and gives all that it printed."""

    def fails(name, *arguments):
        result = tools.run(name, "--bootstrap-server", broker.bootstrap, *arguments)
        assert result.exit_code != 0, str(result)
        return result.out + result.err

    return fails


@pytest.fixture
def topic(request):
    """A name that no other test uses."""
    _factory_count[0] += 1
    return f"t{_factory_count[0]}-{request.node.originalname}"[:120]


_factory_count = [0]
