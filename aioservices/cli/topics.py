"""What a newcomer asks in the first ten minutes, answered."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TOPICS", "Topic"]


class Topic(NamedTuple):
    """A page of help."""

    title: str
    text: str


TOPICS = {
    "start": Topic(
        "the first ten minutes, with or without a key",
        """\
The first ten minutes

Without a key, on this machine only:

  aioservices demo                  a fleet of real programs is deployed and followed
  aioservices emulator --port 8080  serves the API; it prints what to export, and then
                                    every command works against it:
  export CIVIS_API_ENDPOINT=http://127.0.0.1:8080 CIVIS_API_KEY=...
  aioservices list
  aioservices deploy 1
  aioservices logs 1 -f

With a key (see: aioservices help key):

  aioservices doctor                is everything in place?
  aioservices list                  which services there are
  aioservices get NAME              everything about one
  aioservices logs NAME -n 50       the end of its log
  aioservices watch 'web-*'         the logs of many at once
  aioservices redeploy NAME         deploy it again as it is, and wait until it runs

Commands that change something take --dry-run, which shows what they would do.
""",
    ),
    "key": Topic(
        "where the API key comes from, which one is used, and what it may do",
        """\
The API key

It is read from the environment variable CIVIS_API_KEY, and from nowhere else: there
is no option and no file for it, because what stands on a command line can be seen by
others.

To get one: on the platform, open your profile, choose API Keys, and create a key.
It is shown once. Then, for example:

  read -rs CIVIS_API_KEY && export CIVIS_API_KEY

To see whether a key is set and works, what it may do, and whose it is if the API tells:

  aioservices doctor

A key may do what its owner may do. The commands that only read need read permission
for a service; deploy, stop and update need write; transfer, shares and tokens manage.
A key that expired or was revoked is refused with: refuses the API key.

No key yet? aioservices demo and aioservices emulator need none.
""",
    ),
    "network": Topic(
        "addresses, proxies, certificates, timeouts and rate limits",
        """\
The network

The API is at https://api.civisanalytics.com/ unless CIVIS_API_ENDPOINT or --url says
otherwise. Plain http is accepted for this machine only: the key would be seen.

Proxies are taken from HTTPS_PROXY, HTTP_PROXY and ALL_PROXY (http and https proxies);
hosts in NO_PROXY are reached directly. A proxy that does not answer is reported by
the variable that names it. aioservices doctor tries the way step by step: proxy,
address, connection, certificate, key, clock, rate limit.

An attempt of a request may take --timeout (60s). What fails for a moment is tried
again where that is safe; -v reports every attempt. The rate limit of the platform
(1000 requests in 5 minutes) is kept, and a wait for it is reported.
""",
    ),
    "names": Topic(
        "how services are named on the command line",
        """\
Naming services

  42              the service with this id: digits are always an id
  web-shop        the service of this name; capitals do not matter
  'web-*'         all whose names match: * is any text, ? any character, [abc] one of these
  -               read them from standard input, one a line, or lines of list --json

Patterns go in quotes, or the shell takes them for files. Several services with the
same name are told apart by their ids. Names are looked up among the services that
are neither hidden nor archived; those are named by their ids.

With aioservices completion your shell completes names.
""",
    ),
    "scripts": Topic(
        "exit statuses, JSON, and commands that ask",
        """\
In scripts

Exit status: 0 done (also when the reader of a pipe had enough, as with | head),
1 it did not work, 2 wrong usage, 130 Ctrl-C.

--json writes one JSON object a line, list --csv a table, list -q ids. Results go to
standard output; notes and errors to standard error, a line each.

Commands ask before they change many services, or what cannot be undone. Where nobody
can be asked they do nothing and say so: --yes answers, --dry-run only shows.

  aioservices list 'batch-*' --status idle -q | aioservices deploy - --yes
  aioservices logs 42 --json --cursor web.cursor >> web.jsonl    # what is new
""",
    ),
}
"""The pages, by the name that they are asked for by."""
