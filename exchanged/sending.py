"""Where packages go, from the settings.

Takes   settings
Gives   the endpoint of a transport
Ends    never by itself: credentials are asked for at every login
"""

from __future__ import annotations

from exchanged import config
from exchanged.settings import Settings
from exchanged.transports import Endpoint


def endpoint(settings: Settings) -> Endpoint:
    """Where packages go, from the settings."""
    given = settings.delivery
    known = (str(given.known_hosts),) if given.known_hosts else ()
    return Endpoint(
        host=given.host,
        port=given.port,
        user=given.user,
        identity=lambda: config.credential(settings, given.identity).encode(),
        host_keys=(*given.host_keys, *known),
        inbox=given.inbox,
        temp=given.temp,
        verify=given.verify,  # type: ignore[arg-type]
        moved_away=given.moved_away,
        timeout=given.timeout,
    )
