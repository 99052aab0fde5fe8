"""The smallest settings of a project with a database; docs/INTEGRATIONS.md has what is added."""

SECRET_KEY = "of the tests"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "shop.urls"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db"}}

# (docs/INTEGRATIONS.md)
