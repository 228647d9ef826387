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
        """Wait until a deployment runs.

        ``GET /services/{service_id}/deployments/{deployment_id}``, again and again. Calls that
        fail for another reason than the deployment itself are repeated until the time is up.

        Parameters
        ----------
        id : int
            The service.
        deployment_id : int
            The deployment.
        timeout : float, default 600.0
            Seconds that it has to come up. They pass only while it can be looked at: what the rate
            limit holds up does not count. Looks that fail are made for as long once more.
        stay_up : float, default 0.0
            Seconds for which it must then stay up: what crashes sooner has failed.
        poll_interval : float, default 1.0
            Seconds between two looks at first. They become ten times as many while nothing changes.

        Returns
        -------
        Deployment
            As it runs. One that sleeps counts as running: a service that is on demand does so until
            somebody asks for it.

        Raises
        ------
        DeploymentFailedError
            If it has ended; with its state message and the last lines of its log.
        DeploymentTimeoutError
            If it does not run in time. It may still come to run.
        NotFoundError
            If it does not exist. As it may just have been made, this is believed after 5 s.
        PermissionDeniedError, AuthenticationError
            If it may not be seen.

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

        ``POST /services/{service_id}/deployments``, or ``.../redeploy``. One failure stops nothing:
        it is the outcome of that service. If an answer is lost, as by a reset or a 502, the
        service's deployments are looked at before anything is repeated. Waiting costs a request for
        each page of 50 services and look, not for each service.

        Parameters
        ----------
        ids : iterable of int
            The services. One that is named twice is deployed once, and has one outcome.
        redeploy : bool, default False
            Whether to call ``redeploy`` instead.
        concurrency : int, default 20
            How many are asked for at once; those that are on their way to running do not count.
        wait : bool, default True
            Whether an outcome is known when the deployment runs; else when it has been made.
        timeout : float, default 600.0
            Seconds that each deployment has to come up, from when it was made. They pass only while
            it can be looked at: what the rate limit holds up does not count.
        stay_up : float, default 0.0
            Seconds for which it must then stay up: what crashes sooner has failed.
        settle : float, default 10.0
            Seconds during which a lost deploy is looked for before it is asked for again. A server
            that acts on a request later than that deploys twice.
        poll_interval : float, default 1.0
            Seconds between two looks at first. They become ten times as many while nothing changes.

        Returns
        -------
        DeployRun
            An async iterator of :class:`DeployOutcome` in order of completion, and an async context
            manager that stops what is under way at its end. Its attribute `made`
            contains the deployments that were made, `unknown` the services whose answer has not
            come, and `started` both, also afterwards. Its `recheck` checks once more what came up.
            Deploying starts with the first step.

        Raises
        ------
        TypeError, ValueError
            At once, before anything is sent, if an argument makes no sense.

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
