"""The objects of the services API as typed, immutable values.

Every value is a frozen, keyword-only `msgspec.Struct`. Fields that this library does not
know are ignored; a field that the server leaves out or sends as null is None. Only
identifiers are never missing.

The `repr` of a value never shows a secret: the values of environment variables, the value of a
token, a signed URL.
"""

from .access import (
    Dependency,
    NewToken,
    PermissionLevel,
    Project,
    Sharee,
    ShareHolders,
    Shares,
    Token,
    Transfer,
    TransferredDependency,
)
from .common import Timestamp, User
from .convert import JSON, to_dict
from .deployments import Deployment, DeploymentSummary
from .logs import LogEntry, TailedEntry, assign_log
from .services import (
    Credential,
    EnvironmentValue,
    Notifications,
    Recurrence,
    RuntimePlan,
    Schedule,
    Service,
    ServiceSummary,
)

__all__ = [
    "JSON",
    "Credential",
    "Dependency",
    "Deployment",
    "DeploymentSummary",
    "EnvironmentValue",
    "LogEntry",
    "NewToken",
    "Notifications",
    "PermissionLevel",
    "Project",
    "Recurrence",
    "RuntimePlan",
    "Schedule",
    "Service",
    "ServiceSummary",
    "ShareHolders",
    "Sharee",
    "Shares",
    "TailedEntry",
    "Timestamp",
    "Token",
    "Transfer",
    "TransferredDependency",
    "User",
    "assign_log",
    "to_dict",
]
