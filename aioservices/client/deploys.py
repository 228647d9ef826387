"""Deploys that are awaited."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from aioservices.api.models import Deployment

# Imported where it is needed, so that programs which make single calls start sooner.
if TYPE_CHECKING:
    from aioservices.fleet.deploy import DeployRun

from .logs import LogCalls

__all__ = ["DeployCalls"]


class DeployCalls(LogCalls):
    """Deploys, of one service and of many, until they run."""

    async def wait_until_running(
        self,
        id: int,
        deployment_id: int,
        *,
        timeout: float = 600.0,
        stay_up: float = 0.0,
        poll_interval: float = 1.0,
    ) -> Deployment:
        """Wait until a deployment is running.

        ``GET /services/{service_id}/deployments/{deployment_id}``, repeatedly. Calls that
        fail for other reasons than the deployment itself are repeated until the time is up.

        Parameters
        ----------
        id : int
            The service.
        deployment_id : int
            The deployment.
        timeout : float, default 600.0
            Seconds that it may take to come up. They count only while it can be checked, not while
            the rate limit delays checks. Failing checks are repeated for the same time again.
        stay_up : float, default 0.0
            Seconds for which it must then stay up: if it crashes sooner, it has failed.
        poll_interval : float, default 1.0
            Seconds between two checks at first. They grow tenfold while nothing changes.

        Returns
        -------
        Deployment
            The running deployment. A sleeping one counts as running: a service that runs on demand
            sleeps until somebody visits it.

        Raises
        ------
        DeploymentFailedError
            If it has ended; with its state message and the last lines of its log.
        DeploymentTimeoutError
            If it does not run in time. It may still do so later.
        NotFoundError
            If it does not exist. It may just have been made, so this is believed only after 5 s.
        PermissionDeniedError, AuthenticationError
            If the key does not allow to see it.

        Examples
        --------
        ::

            deployment = await services.post_deployments(42)
            await services.wait_until_running(42, deployment.deployment_id)
        """
        from aioservices.fleet.wait import wait_until_running

        return await wait_until_running(
            self,
            id,
            deployment_id,
            timeout=timeout,
            stay_up=stay_up,
            poll_interval=poll_interval,
        )

    def deploy_many(
        self,
        ids: Iterable[int],
        *,
        redeploy: bool = False,
        concurrency: int = 20,
        wait: bool = True,
        timeout: float = 600.0,
        stay_up: float = 0.0,
        settle: float = 10.0,
        poll_interval: float = 1.0,
    ) -> DeployRun:
        """Deploy many services, each of them exactly once.

        ``POST /services/{service_id}/deployments``, or ``.../redeploy``. One failure does not stop
        the others: it is the outcome of that service. If an answer is lost, as by a reset or a 502,
        the service's deployments are checked before anything is repeated. Waiting costs a request
        for each page of 50 services and check, not for each service.

        Parameters
        ----------
        ids : iterable of int
            The services. Duplicates are deployed once, and have one outcome.
        redeploy : bool, default False
            Whether to call ``redeploy`` instead.
        concurrency : int, default 20
            How many deploys to request at once; deployments that are starting do not count.
        wait : bool, default True
            True: return an outcome when the deployment is running; False: when it has been made.
        timeout : float, default 600.0
            Seconds that each deployment may take to come up. They count only while it can be
            checked, not while the rate limit delays checks.
        stay_up : float, default 0.0
            Seconds for which it must then stay up: if it crashes sooner, it has failed.
        settle : float, default 10.0
            Seconds for which to look for a deployment whose answer was lost, before the request is
            repeated. A server that acts on a request later than that deploys twice.
        poll_interval : float, default 1.0
            Seconds between two checks at first. They grow tenfold while nothing changes.

        Returns
        -------
        DeployRun
            An async iterator of :class:`DeployOutcome` in order of completion, and an async context
            manager that stops all work at its end. Its attribute `made`
            contains the deployments that were made, `unknown` the services whose answer has not
            come, and `started` both, also afterwards. Its `recheck` checks once more what came up.
            Deploying starts with the first step.

        Raises
        ------
        TypeError, ValueError
            At once, before anything is sent, if an argument is invalid.

        Examples
        --------
        ::

            async for outcome in services.deploy_many([1, 2, 3]):
                print(outcome.service_id, outcome.error or "runs")
        """
        from aioservices.fleet.deploy import DeployRun

        return DeployRun(
            self._tasks,
            self,
            ids,
            redeploy=redeploy,
            concurrency=concurrency,
            wait=wait,
            timeout=timeout,
            stay_up=stay_up,
            settle=settle,
            poll_interval=poll_interval,
        )
