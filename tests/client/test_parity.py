from __future__ import annotations

import inspect

from latentcrdt import AsyncClient, Client


def public(cls):
    members = inspect.getmembers(cls, inspect.isfunction)
    return {name: f for name, f in members if not name.startswith("_") or name == "__init__"}


def test_both_clients_offer_the_same_methods_with_the_same_parameters():
    blocking, asynchronous = public(Client), public(AsyncClient)
    assert len(blocking) > 10
    assert {n: inspect.signature(f) for n, f in blocking.items()} == {
        n: inspect.signature(f) for n, f in asynchronous.items()
    }


def test_every_method_of_the_asynchronous_client_is_awaited():
    methods = {n: f for n, f in public(AsyncClient).items() if n != "__init__"}
    assert all(inspect.iscoroutinefunction(f) for f in methods.values())
