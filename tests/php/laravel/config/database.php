<?php

use Illuminate\Support\Str;

return [
    'default' => 'sqlite',
    'connections' => [
        'sqlite' => ['driver' => 'sqlite', 'database' => base_path('shop.db'), 'prefix' => ''],
    ],
    'redis' => [
        'client' => env('REDIS_CLIENT', 'phpredis'),
        'options' => ['prefix' => Str::slug(env('APP_NAME', 'laravel'), '_').'_database_'],
        // (docs/INTEGRATIONS.md)
    ],
];
