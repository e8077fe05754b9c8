"""A module that starts a thread when it is imported, which ends by itself soon after."""

from __future__ import annotations

import threading
import time

threading.Thread(target=time.sleep, args=(0.3,), daemon=True).start()
