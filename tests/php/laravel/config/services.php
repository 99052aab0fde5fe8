<?php

return [
    // (docs/INTEGRATIONS.md)
];
