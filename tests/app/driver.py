"""What a person does in the App."""

from playwright.sync_api import Locator, Page, TimeoutError

# In milliseconds
_PATIENCE = 120_000


class Operators:
    """Runs operators as a person does, through the browser of operators."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.form = page.get_by_test_id("operators-prompt-modal")

    def open(self, label: str, *, has_entries: bool = True) -> Locator:
        """Opens the form of an operator, and returns it."""
        self.run(label)
        entries = self.form.get_by_role("textbox"), self.form.get_by_role("combobox")
        if has_entries:
            entries[0].or_(entries[1]).first.wait_for()
        return self.form

    def run(self, label: str) -> None:
        """Runs an operator that has no form, or begins with one that has."""
        self.page.keyboard.press("`")
        self.page.get_by_placeholder("Search operations").fill(label)
        self.page.get_by_text(label, exact=True).first.click()

    def submit(self, button: str) -> Locator:
        """Submits the form, and returns the dialog that shows the results."""
        submit = self.form.get_by_role("button", name=button, exact=True)
        submit.click()
        try:
            submit.wait_for(state="hidden", timeout=15_000)
        except TimeoutError:
            # A click is lost where the App draws the form anew at that moment
            submit.click()
        self.form.wait_for(state="detached", timeout=_PATIENCE)
        done = self.page.get_by_role("button", name="Done", exact=True)
        done.wait_for()
        dialog = self.page.get_by_role("dialog").filter(has=done)
        # Shown first; processes that share the work take a while to start
        progress = dialog.get_by_role("progressbar")
        progress.last.wait_for(state="detached", timeout=_PATIENCE)
        return dialog
