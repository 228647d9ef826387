"""The help topics: answers to the first questions of a new user."""

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

  aioservices demo                  deploys a fleet of real programs and follows it
  aioservices emulator --port 8080  serves the API until Ctrl-C, and prints what to
                                    export

Then every command works with it, in another terminal:

  export CIVIS_API_ENDPOINT=http://127.0.0.1:8080 CIVIS_API_KEY=...
  aioservices list
  aioservices deploy 1
  aioservices logs 1 -f

With a key (see: aioservices help key):

  aioservices doctor                checks the setup
  aioservices list                  lists services
  aioservices get NAME              shows all details of one
  aioservices logs NAME -n 50       shows the end of its log
  aioservices watch 'web-*'         follows the logs of many at once
  aioservices redeploy NAME         deploys it again as it is, and waits until it runs

Commands that change something accept --dry-run, which shows what they would do.
""",
    ),
    "key": Topic(
        "where the API key comes from, which one is used, and what it may do",
        """\
The API key

It is read only from the environment variable CIVIS_API_KEY. There is no option for
it, because others can see a command line, and no configuration file.

To get one: on the platform, open your profile, choose API Keys, and create a key.
It is shown once. Then, for example:

  read -rs CIVIS_API_KEY && export CIVIS_API_KEY

To see whether a key is set and works, what it may do, and whose it is if the API says so:

  aioservices doctor

A key has the permissions of its owner. Commands that only read need read permission
for a service; deploy, stop and update need write; transfer, shares and tokens need
manage. For an expired or revoked key the error is: refuses the API key.

No key yet? aioservices demo and aioservices emulator need none.
""",
    ),
    "network": Topic(
        "addresses, proxies, certificates, timeouts and rate limits",
        """\
The network

The API is at https://api.civisanalytics.com/ unless CIVIS_API_ENDPOINT or --url says
otherwise. Plain http is accepted for this machine only, because it exposes the key.

Proxies are taken from HTTPS_PROXY, HTTP_PROXY and ALL_PROXY (http and https proxies);
hosts in NO_PROXY are reached directly. If a proxy does not answer, the error names
its variable. aioservices doctor checks each step: proxy, address, connection,
certificate, key, clock, rate limit.

--timeout limits each attempt of a request (60s). Temporary failures are retried where
that is safe; -v reports every attempt. The rate limit of the platform (1000 requests
in 5 minutes) is honoured, and waits for it are reported.
""",
    ),
    "names": Topic(
        "how services are named on the command line",
        """\
Naming services

  42              the service with this id: digits are always an id
  web-shop        the service with this name; case does not matter
  'web-*'         all with matching names: * is any text, ? any character, [abc] one of these
  -               read them from standard input, one per line, or lines of list --json

Put patterns in quotes, so that the shell does not match them with files. If several
services have the same name, use their ids. Names are looked up among services that are
neither hidden nor archived; for those, use ids.

With aioservices completion your shell completes names.
""",
    ),
    "scripts": Topic(
        "exit statuses, JSON, and commands that ask",
        """\
In scripts

Exit status: 0 done (also when the reader of a pipe has exited, as with | head),
1 failed, 2 wrong usage, 130 Ctrl-C.

--json writes one JSON object per line, list --csv a table, list -q ids. Results go to
standard output; notes and errors to standard error, one per line.

Commands ask for confirmation before they change many services, or do what cannot be
undone. Where nobody can answer they do nothing and say so: --yes confirms, --dry-run
only shows what would be done.

  aioservices list 'batch-*' --status idle -q | aioservices deploy - --yes
  aioservices logs 42 --json --cursor web.cursor >> web.jsonl    # what is new
""",
    ),
}
"""The topics by name."""
