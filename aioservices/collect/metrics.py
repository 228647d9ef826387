"""The metrics for Prometheus, made from the collector's status when they are requested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector as MetricsSource

from aioservices.fleet.collecting import CollectorStatus
from aioservices.http.options import Attempt

__all__ = ["Metrics", "RequestCounter"]

_PREFIX = "aioservices_watch_"


class RequestCounter:
    """Counts the requests of some sessions by result; a hook for `on_attempt`."""

    def __init__(self) -> None:
        self.by_status: Counter[str] = Counter()

    def __call__(self, attempt: Attempt) -> None:
        """Count an attempt when it has ended."""
        if attempt.state in ("answered", "failed"):
            self.by_status[str(attempt.status or "none")] += 1


class Metrics(MetricsSource):
    """The metrics of one collector.

    Parameters
    ----------
    status : callable
        Returns the collector's current status.
    requests : RequestCounter
    """

    def __init__(self, status: Callable[[], CollectorStatus], requests: RequestCounter) -> None:
        self._status = status
        self._requests = requests
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Render all metrics in the requested format.

        Parameters
        ----------
        accept : str
            The ``Accept`` header of the request.

        Returns
        -------
        (bytes, str)
            The text, and its content type.
        """
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # the version is not a number
            encode, content_type = choose_encoder("")
        return encode(self._registry), content_type

    def describe(self) -> Iterable[Metric]:
        """Declare no metrics at registration: the set of metrics changes with time."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Make the metrics."""
        status = self._status()
        yield _counter("lines", "Lines kept in the store.", status.lines)
        yield _counter("bytes", "Bytes of the messages of these lines.", status.bytes)
        yield _counter("late_lines", "Lines that came after newer ones.", status.late_lines)
        yield _counter("gaps", "Parts of logs that the server did not return.", status.gaps)
        yield _counter(
            "fenced", "Batches not stored because another daemon had the service.", status.fenced
        )
        requests = CounterMetricFamily(
            f"{_PREFIX}requests",
            "Requests to the API by status; none: no answer.",
            labels=["status"],
        )
        for code, count in sorted(self._requests.by_status.items()):
            requests.add_metric([code], count)
        yield requests
        yield from self._commits(status)
        yield _gauge("buffered_lines", "Lines that wait in memory for the store.", status.waiting)
        yield _gauge("leases", "Services that this daemon reads.", status.leases)
        yield _gauge("ready", "1 if every key is valid and the store commits.", int(status.ready))
        yield _gauge(
            "failing_services",
            "Services whose log cannot be read now.",
            sum(each.error is not None for each in status.services),
        )
        yield self._lags(status)
        yield self._rate_limits(status)
        yield from self._forwarders(status)

    def _commits(self, status: CollectorStatus) -> Iterator[Metric]:
        commits = CounterMetricFamily(
            f"{_PREFIX}commits", "Transactions of the store by outcome.", labels=["outcome"]
        )
        for outcome, count in sorted(status.commits.items()):
            commits.add_metric([outcome], count)
        yield commits
        times = status.commit_seconds
        seconds = HistogramMetricFamily(f"{_PREFIX}commit_seconds", "Time that a commit takes.")
        seconds.add_metric([], buckets=list(times.buckets), sum_value=times.sum)
        yield seconds

    def _lags(self, status: CollectorStatus) -> Metric:
        lag = GaugeMetricFamily(
            f"{_PREFIX}lag_seconds",
            "Seconds since a log was last read successfully.",
            labels=["service_id"],
        )
        for service in status.services:
            if service.lag_seconds is not None:
                lag.add_metric([str(service.service_id)], service.lag_seconds)
        return lag

    def _rate_limits(self, status: CollectorStatus) -> Metric:
        remaining = GaugeMetricFamily(
            f"{_PREFIX}rate_limit_remaining", "Calls left, by API key in order.", labels=["key"]
        )
        for number, session in enumerate(status.sessions, 1):
            if session.rate_limit is not None:
                remaining.add_metric([str(number)], session.rate_limit.remaining)
        return remaining

    def _forwarders(self, status: CollectorStatus) -> Iterator[Metric]:
        behind = GaugeMetricFamily(
            f"{_PREFIX}forward_behind_lines", "Stored lines not sent yet.", labels=["sink"]
        )
        oldest = GaugeMetricFamily(
            f"{_PREFIX}forward_oldest_seconds", "Age of the oldest of these.", labels=["sink"]
        )
        lines = CounterMetricFamily(
            f"{_PREFIX}forward_lines",
            "Lines sent on, and lines rejected.",
            labels=["sink", "outcome"],
        )
        for forwarder in status.forwarders:
            behind.add_metric([forwarder.name], forwarder.behind)
            oldest.add_metric([forwarder.name], forwarder.oldest_seconds or 0.0)
            lines.add_metric([forwarder.name, "sent"], forwarder.sent)
            lines.add_metric([forwarder.name, "rejected"], forwarder.rejected)
        yield behind
        yield oldest
        yield lines


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(_PREFIX + name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(_PREFIX + name, text, value=value)
