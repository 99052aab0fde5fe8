<?php
// What `laravel new` writes here, in short, with Debian's php-laravel-framework. The shop itself is in docs/INTEGRATIONS.md.

require_once 'Illuminate/autoload.php';
require_once 'Predis/autoload.php';

spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'App\\')) {
        require __DIR__.'/../app/'.strtr(substr($class, 4), '\\', '/').'.php';
    }
});

// What its migrations do.
(new PDO('sqlite:'.__DIR__.'/../shop.db'))->exec('CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item TEXT UNIQUE)');

$app = new Illuminate\Foundation\Application(dirname(__DIR__));
$app->singleton(Illuminate\Contracts\Http\Kernel::class, App\Http\Kernel::class);
$app->singleton(Illuminate\Contracts\Debug\ExceptionHandler::class, Illuminate\Foundation\Exceptions\Handler::class);

return $app;
