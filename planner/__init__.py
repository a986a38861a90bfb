"""GPU Planner: what GPU jobs take and cost, from measurements of your own devices and a dated price book.

Rooms, and which way their imports point (`tests/test_architecture.py` holds it):

    wsgi.py                     cli
       │               ┌─────────┼────────┐
       ▼               │         ▼        │
      web ──────► services ◄── worker ────┼──► gpu   feeds
       │           │   │         │        │     │      │
       │           │   └─────────┼────────┼─────┼──► readers
       └──────────► store ◄──────┴────────┘     │      │
    ════════════ pure below this line ══════════╪══════╪════
                       ▼                        ▼      ▼
      plans ──► estimates ──► calibration ──► jobs ──► hardware ◄── inventory, offers
                 all of them and budgets ──► units, quantity, errors

Pure means the standard library and arithmetic only: no database, network, device or clock. Of `store`, web, worker
and cli take just its engine (the worker its leases, cli its migrations too): they open the session that services work
in, and commit it. `readers` make quotes of the bytes of price lists; `feeds` alone fetches such lists over the
network. `settings` is read at the edges, by web, worker and cli; `version` says which code made a number.

The web process and the worker never load torch, which lives in `gpu`'s child process; that child never reaches the
database.
"""
