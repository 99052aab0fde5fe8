"""What `django-admin startproject` writes here, in short. The shop itself is in docs/INTEGRATIONS.md."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
execute_from_command_line(sys.argv)
