# A delay notice after the end, and a socket without a path.
metrics { address = "unix:" }
queue { lifetime = "1h"  warn_after = "4h" }
