<?php

namespace App;

use Illuminate\Foundation\Support\Providers\RouteServiceProvider;
use Illuminate\Support\Facades\Route;

final class Routes extends RouteServiceProvider
{
    public function boot(): void
    {
        $this->routes(static fn () => Route::group([], base_path('routes/api.php')));
    }
}
