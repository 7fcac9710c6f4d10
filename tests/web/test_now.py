from collections.abc import Callable

from tests.web.site import Browser, World

Open = Callable[[], Browser]


def test_ones_own_zone_is_a_cookie_and_no_more(world: World, browser: Open) -> None:
    visitor = browser()
    assert "On your clock" not in visitor.get(f"/instances/{world.muellers_now}")

    visitor.post("/zone", zone="Pacific/Auckland")
    assert "Auckland time" in visitor.get(f"/instances/{world.muellers_now}")
    assert "On your clock" in visitor.get(f"/instances/{world.muellers_now}")

    visitor.post("/zone", 400, zone="Mars/Olympus")
    visitor.post("/zone", zone="")
    assert "On your clock" not in visitor.get(f"/instances/{world.muellers_now}")
