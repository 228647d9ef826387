"""An emulator in a separate process, with faults, that finally reports what it has received.

`python -m benchmarks.fleet_server --services 1000 --faults 0.01` prints its URL, serves until its
standard input closes, and prints what it counted.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import anyio
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from aioservices.emulator import Emulator, Reset, Respond
from aioservices.emulator.faults import Effect
from benchmarks.contenders import API_KEY

PENDING_FOR = 2.0  # seconds
_FAULTS: dict[str, list[Effect]] = {
    "POST": [Reset(acts=True), Respond(502, acts=True), Reset(), Respond(502), Respond(503)],
    "GET": [Reset(), Respond(502)],
}
_TIMEOUT = 30.0  # seconds


class Counts(msgspec.Struct):
    """What an emulator has counted."""

    requests: int = 0
    deployments: int = 0
    deployed_twice: int = 0


@asynccontextmanager
async def fleet_server(services: int, faults: float) -> AsyncIterator[tuple[str, Counts]]:
    """Start an emulator.

    Parameters
    ----------
    services
        How many services there are; none of them is deployed.
    faults
        The part of the deploys, and of the other calls, that fail.

    Yields
    ------
    tuple
        Its base URL, and the counts, which are filled in at the end.
    """
    options = (f"--services={services}", f"--faults={faults}")
    command = [sys.executable, "-m", "benchmarks.fleet_server", *options]
    root = Path(__file__).resolve().parent.parent
    counts = Counts()
    async with await anyio.open_process(
        command, stdin=PIPE, stdout=PIPE, stderr=None, cwd=root
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        output = BufferedByteReceiveStream(process.stdout)
        with anyio.fail_after(_TIMEOUT):
            url = (await output.receive_until(b"\n", 100)).decode()
        yield url, counts
        await process.stdin.aclose()
        with anyio.fail_after(_TIMEOUT):
            counted = msgspec.json.decode(await output.receive_until(b"\n", 1000), type=Counts)
        for name in Counts.__struct_fields__:
            setattr(counts, name, getattr(counted, name))


async def _serve(services: int, faults: float) -> None:
    async with Emulator(services, api_key=API_KEY, pending_for=PENDING_FOR) as emulator:
        for method, effects in _FAULTS.items():
            for seed, effect in enumerate(effects):
                emulator.fault(effect, method=method, probability=faults / len(effects), seed=seed)
        print(emulator.url, flush=True)
        await asyncio.to_thread(sys.stdin.buffer.read)
        deploys = emulator.deploys
        counts = Counts(
            requests=emulator.statuses.total(),
            deployments=deploys.total(),
            deployed_twice=sum(count > 1 for count in deploys.values()),
        )
        print(msgspec.json.encode(counts).decode(), flush=True)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, required=True)
    parser.add_argument("--faults", type=float, required=True)
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.services, arguments.faults))


if __name__ == "__main__":
    _main()
