<?php
// Publishes with the class of docs/INTEGRATIONS.md and Debian's php-symfony-mercure.
// Usage: php symfony_shop.php CODE HUB SECRET

declare(strict_types=1);

require_once 'Symfony/Component/Mercure/autoload.php';
require_once __DIR__.'/Tokens.php';
require_once $argv[1];

use Symfony\Component\Mercure\Hub;
use Symfony\Component\Mercure\Jwt\FactoryTokenProvider;

[, , $url, $secret] = $argv;
$events = new App\ShopEvents(new Hub($url, new FactoryTokenProvider(new Tokens($secret), [], ['orders', 'user/{id}'])));
$events->ordered('tea');
$events->said('42', 'm-1', 'hello');
$events->ordered('the end');
