<?php

return ['path' => '/', 'domain' => null, 'secure' => false, 'same_site' => 'lax'];
