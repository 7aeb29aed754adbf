"""What goes wrong with Bigtable, in the user's terms: which instance, why, and what to do."""

from google.api_core.exceptions import GoogleAPICallError, RetryError

from chronon_beam.io.bigtable import codes
from chronon_beam.io.bigtable.codes import Status
from chronon_beam.io.bigtable.options import BigtableOptions

EMULATOR_VARIABLE = "BIGTABLE_EMULATOR_HOST"

_LOGIN = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"

_NO_TOKEN = "metadata from plugin"
"""Text of gRPC's error if Google's library gets no token for its credentials."""


class BigtableError(RuntimeError):
    """Bigtable cannot be reached, or refuses; the message says which instance and what to do."""


def without_credentials(options: BigtableOptions, error: Exception) -> BigtableError:
    """The error if Google's library finds no credentials."""
    return BigtableError(
        f"Bigtable {options.name}: no credentials: {str(error).rstrip('.')}: {_LOGIN}; for an "
        f"emulator, set {EMULATOR_VARIABLE}"
    )


def cannot_read(
    options: BigtableOptions, emulator: str | None, table: str, status: Status
) -> BigtableError:
    """The error of a read that is given up."""
    what = f"table {table} cannot be read: {status}"
    return BigtableError(f"Bigtable {options.name}: {what}: {remedy(status, emulator)}")


def cannot_make(
    options: BigtableOptions,
    emulator: str | None,
    table: str,
    by_hand: str,
    error: GoogleAPICallError | RetryError,
) -> BigtableError:
    """The error if a table cannot be made; `by_hand` is the command that makes it."""
    status = status_of_admin(error)
    todo = remedy(status, emulator)
    if status.code == codes.DENIED:
        todo = f"ask for the role roles/bigtable.admin, or have it made: {by_hand}"
    return BigtableError(f"Bigtable {options.name}: table {table} cannot be made: {status}: {todo}")


def cannot_drop(
    options: BigtableOptions, table: str, prefix: bytes, error: GoogleAPICallError | RetryError
) -> BigtableError:
    """The error if Bigtable refuses to drop rows."""
    status = status_of_admin(error)
    return BigtableError(
        f"Bigtable {options.name}: rows {prefix.decode()}* of table {table} cannot be dropped: "
        f"{status}: ask for the role roles/bigtable.admin, or have them dropped"
    )


def status_of_admin(error: GoogleAPICallError | RetryError) -> Status:
    """The status of a failed call of the admin API; of several attempts the last one's."""
    cause = error.cause if isinstance(error, RetryError) else error
    code = getattr(cause, "grpc_status_code", None)
    number = code.value[0] if code is not None else codes.UNKNOWN
    return Status(number, getattr(cause, "message", None) or str(cause))


def remedy(status: Status, emulator: str | None) -> str:
    """What a user can do about a call that failed with this status."""
    if _NO_TOKEN in status.message or status.code == codes.UNAUTHENTICATED:
        return f"the credentials are not accepted: {_LOGIN}"
    if status.code == codes.DENIED:
        return "ask for the role roles/bigtable.user on this instance"
    if status.code == codes.NOT_FOUND:
        return "correct the project, instance or app profile in the URI"
    if emulator:
        return f"look whether the emulator at {emulator} is up ({EMULATOR_VARIABLE} names it)"
    return "look whether the instance is up, and whether this machine reaches *.googleapis.com"
